"""The entries of a vector in another order, or with those of another one between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.products.tangent.flat_order import FlatOrder

# Ours: entries that are copied one by one in the time that cutting out another piece takes.
_WORTH_A_PIECE = 2048
# Ours: where weights are more, a product takes so long that the copies that pairs save do not
# count, and the index that makes them does: 16 bytes a weight.
LARGEST_PAIRED = 2**22


class Reordering:
    """Takes entries of a vector, (P,), or of several, (K, P), in a fixed order.

    On a CPU, long pieces that lie together are copied as they are, which takes a fifth of the time
    of looking every entry up; on a card either is one operation.

    Args:
        index: places of the entries, integers (m,), on the CPU.
        device: of the vectors.

    >>> Reordering(torch.tensor([2, 0, 1]), torch.device("cpu"))(torch.tensor([5.0, 6.0, 7.0]))
    tensor([7., 5., 6.])
    """

    def __init__(self, index: Tensor, device: torch.device) -> None:
        self._pieces: list[slice] = []
        if device.type == "cpu":
            self._pieces = _long_pieces(index)
        self._index = index[:0] if self._pieces else index.to(device, torch.int32)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the entries, (m,) or (K, m), as a tensor of its own."""
        if self._pieces:
            return torch.cat([vectors[..., piece] for piece in self._pieces], -1)
        return vectors.index_select(-1, self._index)


def _long_pieces(index: Tensor) -> list[slice]:
    """Return pieces that ``index`` is made of; none where they are short."""
    jumps = index.diff() != 1
    if len(index) < _WORTH_A_PIECE * (int(jumps.sum()) + 1):
        return []
    starts = [0, *(jumps.nonzero().flatten() + 1).tolist()]
    lengths = [end - start for start, end in zip(starts, [*starts[1:], len(index)], strict=True)]
    firsts = index[torch.tensor(starts)].tolist()
    return [slice(a, a + n) for a, n in zip(firsts, lengths, strict=True)]


class JoinedWeights:
    """W' and dW' of layers joined in one piece of memory, which is one convolution's weight.

    Args:
        order: of the weights.
        layers: whose weights are joined.
        device: where.
    """

    def __init__(self, order: FlatOrder, layers: Sequence[int], device: torch.device) -> None:
        self.order = order
        self.layers = list(layers) if order.num_weights <= LARGEST_PAIRED else []
        self.shapes: list[tuple[int, torch.Size]] = []
        places = []
        for axis in (1, 0):
            for i in self.layers:
                block = order.blocks[i]
                own = torch.arange(block.weights.start, block.weights.stop)
                weight = order.view(own, block.shape)
                pair = torch.cat([weight, weight + order.num_weights], axis)
                self.shapes.append((i, pair.shape))
                places.append(order.flat(pair, pair.shape))
        self.sizes = [len(p) for p in places]
        self.index = torch.cat(places).to(device, torch.int32) if places else None

    def join(
        self, weights: Tensor, moved: Tensor
    ) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Return W' and dW' of each layer along the input and along the output channels."""
        count = len(self.order.blocks)
        found: list[list[Tensor | None]] = [[None] * count, [None] * count]
        if self.index is not None and moved.ndim == 1:
            joined = torch.cat([weights, moved]).index_select(0, self.index)
            pieces = joined.split(self.sizes)
            for k, ((i, shape), piece) in enumerate(zip(self.shapes, pieces, strict=True)):
                found[k // len(self.layers)][i] = self.order.view(piece, shape)
        return found[0], found[1]
