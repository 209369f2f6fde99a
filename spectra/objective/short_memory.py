"""What an operator takes of memory where nobody says, and what it does where memory ends."""

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import torch

from spectra.errors import InputError
from spectra.objective.network.failures import passes_of_network
from spectra.system.allocator import out_of_memory

# Ours: what a laptop can spare for kept work; of a card's memory half of what is free.
MEMORY_BUDGET = 2 * 2**30
_KEPT_SHARE = 2
# Ours: one chunk in work takes an eighth of a card's memory at most, so that chunks, which decide
# the order of sums, are the same on an idle card each time; and half of what is free.
_CHUNK_SHARE, _FREE_SHARE = 8, 2

Method = TypeVar("Method", bound=Callable[..., Any])


class WorksInChunks(Protocol):
    """What works through its images in chunks and can make them smaller."""

    micro_chunk: int
    device: torch.device

    @property
    def num_images(self) -> int:
        """Number of images."""
        ...

    @property
    def keeps_work(self) -> bool:
        """Whether memory holds work that could be given up."""
        ...

    def make_room(self) -> None:
        """Work in smaller chunks from here on, and give up work that is kept."""
        ...


def default_budget(device: torch.device) -> int:
    """Return the bytes that kept work may take."""
    if device.type != "cuda":
        return MEMORY_BUDGET
    return int(torch.cuda.mem_get_info(device)[0]) // _KEPT_SHARE


def largest_chunk(device: torch.device) -> int:
    """Return the bytes that one chunk in work may take of a card's memory."""
    free, whole = torch.cuda.mem_get_info(device)
    return int(min(whole // _CHUNK_SHARE, free // _FREE_SHARE))


def chunk_share(vectors_a_pass: int) -> float:
    """Return what a chunk in work takes, as a multiple of its primal work.

    The primal work, half of it while it is made, and as much again for every vector of a pass, for
    what a product makes on its way: ours, a little above what ResNets take.
    """
    return 1.5 + vectors_a_pass


def with_smaller_chunks(method: Method) -> Method:
    """Have a method that works through the chunks begin again with smaller ones where memory ends.

    What else goes wrong in a pass is told in one line.

    Raises:
        InputError: not even one image fits, with no work kept beside it.
    """

    @functools.wraps(method)
    def answered(self: WorksInChunks, *args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                with passes_of_network():
                    return method(self, *args, **kwargs)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                if min(self.micro_chunk, self.num_images) == 1 and not self.keeps_work:
                    raise InputError(
                        f"the work of one image does not fit into the memory of {self.device}; "
                        "free some of it, or compute on another device"
                    ) from error
            # Out of the block above: what its traceback holds is free only now.
            self.make_room()

    return cast(Method, answered)
