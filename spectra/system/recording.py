"""Work on a GPU recorded once as a CUDA graph and replayed: one launch where there were hundreds.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs": warm-up and capture on a side stream,
inputs and outputs in memory that stays.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch

T = TypeVar("T")

# Of the calls that CUDA forbids during a recording, those of other threads do no harm, and stay
# allowed: a user's data loader pins memory, and NCCL asks after its events.
OWN_THREAD = "thread_local"

# Graphs whose recording failed. Torch's allocator may go on asking them whether memory is theirs,
# for an end of a recording that raises does not reach it: they must not be freed.
_failed: list[torch.cuda.CUDAGraph] = []


@dataclass(frozen=True)
class Recording(Generic[T]):
    """Recorded work.

    Attributes:
        replay: do the work once more, from what its inputs then hold.
        outcome: what it returned: the same tensors, rewritten by every replay.
    """

    replay: Callable[[], None]
    outcome: T


class Recorder(Protocol):
    """What records work."""

    def warm_up(self, work: Callable[[], T]) -> T:
        """Do the work, so that recording it meets nothing for the first time."""
        ...

    def record(self, work: Callable[[], T]) -> Recording[T]:
        """Record the work without doing it.

        Raises:
            RuntimeError: it holds something that cannot be recorded. Nothing has been done.
        """
        ...


class CudaRecorder:
    """CUDA graphs on one device.

    Args:
        device: a CUDA device.
        share_memory: let all recordings use one piece of memory for what they make on their way:
            for those that are replayed one after the other.
    """

    def __init__(self, device: torch.device, *, share_memory: bool = False) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle() if share_memory else None

    def warm_up(self, work: Callable[[], T]) -> T:
        """Do the work on the side stream, between what comes before it and what comes after."""
        with torch.cuda.device(self.device):
            main = torch.cuda.current_stream()
            self.stream.wait_stream(main)
            with torch.cuda.stream(self.stream):
                outcome = work()
            main.wait_stream(self.stream)
        return outcome

    def record(self, work: Callable[[], T]) -> Recording[T]:
        """Record the work as a graph."""
        graph = torch.cuda.CUDAGraph()
        try:
            with (
                torch.cuda.device(self.device),
                # Puts the stream back, which torch.cuda.graph leaves where it raises at its end.
                torch.cuda.stream(torch.cuda.current_stream()),
                _no_collection(),
                torch.cuda.graph(
                    graph, pool=self.pool, stream=self.stream, capture_error_mode=OWN_THREAD
                ),
            ):
                outcome = work()
        except RuntimeError:
            _failed.append(graph)
            raise
        return Recording(graph.replay, outcome)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage within the block: an old graph freed there would spoil a recording."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
