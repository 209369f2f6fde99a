"""Work on a GPU recorded once as a CUDA graph and replayed: one launch where there were hundreds.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs": warm-up and capture on a side stream,
inputs and outputs in memory that stays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch

T = TypeVar("T")


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
        with (
            torch.cuda.device(self.device),
            torch.cuda.graph(graph, pool=self.pool, stream=self.stream),
        ):
            outcome = work()
        return Recording(graph.replay, outcome)
