"""The bytes that torch's graphs keep between a forward and a backward pass."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Made = TypeVar("Made")

# What torch.func raises where somebody looks at what a graph keeps.
_UNSEEN = "saved tensor hooks"


@dataclass(frozen=True)
class Counted(Generic[Made]):
    """What a function made, and what its graphs keep.

    Attributes:
        made: by the function.
        nbytes: that are kept.
        numbers: that are kept, of any type.
    """

    made: Made
    nbytes: int
    numbers: int


def storages_of(tensor: Tensor) -> dict[int, int]:
    """Return the bytes of each storage that holds numbers of ``tensor``, by its address.

    >>> sum(storages_of(torch.eye(2).to_sparse()).values())  # two numbers, two indices of each
    40
    """
    storages = (part.untyped_storage() for part in _strided_parts(tensor))
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


def counted(function: Callable[[], Made], without: Iterable[Tensor] = ()) -> Counted[Made]:
    """Return what ``function`` makes, and how much its graphs keep.

    Where it calls :mod:`torch.func`, which lets nobody see that, it is called again, and all that
    it computes is counted, which is more.

    Args:
        function: makes graphs.
        without: tensors that are there anyway, and do not count.
    """
    own = {address for tensor in without for address in storages_of(tensor)}
    kept: dict[int, tuple[int, int]] = {}

    def pack(tensor: Tensor) -> Tensor:
        for part in _strided_parts(tensor):
            storage = part.untyped_storage()
            if storage.data_ptr() not in own:
                nbytes = storage.nbytes()
                kept[storage.data_ptr()] = nbytes, nbytes // max(1, part.element_size())
        # Not itself: an operation that saves its own result would hold itself, for good.
        return tensor.detach()

    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            made = function()
    except RuntimeError as error:
        if _UNSEEN not in str(error):
            raise
        with _Computed() as computed:
            made = function()
        return Counted(made, computed.nbytes, computed.numbers)
    return Counted(made, sum(n for n, _ in kept.values()), sum(n for _, n in kept.values()))


def _strided_parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the plain tensors that a sparse one is made of; of a plain one itself."""
    if tensor.layout == torch.strided:
        return (tensor,)
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return ()  # another library keeps its numbers out of sight


class _Computed(TorchDispatchMode):
    """Adds up all that is computed inside it."""

    nbytes, numbers = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves(made) if isinstance(t, Tensor)]
        self.nbytes += sum(t.numel() * t.element_size() for t in tensors)
        self.numbers += sum(t.numel() for t in tensors)
        return made
