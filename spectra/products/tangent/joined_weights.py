"""Weights and their tangents in one piece of memory, so that two convolutions are one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.products.tangent.flat_order import FlatOrder

# Ours: where weights are more, a product takes so long that the copies that pairs save do not
# count, and the index that makes them does: 16 bytes a weight.
LARGEST_PAIRED = 2**22


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
