"""Embeddings: rows of a table, picked by whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from spectra.products.layers.directions import shape_of
from spectra.products.layers.interface import Layer, Saved
from spectra.products.tangent.folding import Direction, Moved


class Embedding(Layer):
    """y = W[i], of the values i and W; the row of the padding, if there is one, does not move.

    Args:
        padding: number of that row, or None.
    """

    keeps = frozenset({"inputs"})
    keeps_the_same = True

    def __init__(self, padding: int | None = None) -> None:
        self.padding = padding

    def value(self, *inputs: Tensor) -> Tensor:
        """Return W[i]."""
        return F.embedding(inputs[0], inputs[1])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return nothing for i, and δ added up for each row of W."""
        picked, table = saved.inputs
        saved.inputs = (picked, shape_of(table))
        return [None, self._gathered(saved, saved.cotangent) if wanted[1] else None]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return dW[i]."""
        moved, (picked, table) = saved.input_tangents[1], saved.inputs
        if moved is None:
            return None
        if direction.count > 1:
            starts = torch.arange(direction.count, device=picked.device) * len(table)
            places = picked + starts.view(-1, *[1] * picked.ndim)
            picked, places = picked.expand_as(places).flatten(0, 1), places.flatten(0, 1)
        else:
            places = picked
        found = F.embedding(places, moved)
        if self._row(table) >= 0:
            found.masked_fill_((picked == self._row(table)).unsqueeze(-1), 0.0)
        return found

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return nothing for i, and dδ added up for each row of W."""
        if d_delta is None or not wanted[1]:
            return [None, None]
        each = [self._gathered(saved, d) for d in d_delta.chunk(direction.count)]
        return [None, each[0] if len(each) == 1 else torch.cat(each)]

    def _gathered(self, saved: Saved, delta: Tensor) -> Tensor:
        """Return the sum of ``delta`` over where each row of W was picked."""
        picked, table = saved.inputs
        found: Tensor = torch.ops.aten.embedding_dense_backward(
            delta, picked, len(table), self._row(table), False
        )
        return found

    def _row(self, table: Tensor) -> int:
        """Return the padding's row counted from the first; -1: there is none."""
        return -1 if self.padding is None else self.padding % len(table)
