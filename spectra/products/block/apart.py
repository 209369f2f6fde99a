"""A layer's tangent passes for all losses of a block at once, by a map over the losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.func import vmap

from spectra.products.block.ways import Place, with_tensors
from spectra.products.layers.interface import Layer, Saved
from spectra.products.tangent.folding import Direction, Moved


@dataclass
class LayerApart:
    """A layer, and what it keeps of B losses.

    Attributes:
        layer: any but an affine one.
        saved: of one loss, for what is no tensor.
        rows: what is kept of all losses, (B, ...).
        shared: what is kept and is the network's.
        still: a direction that moves nothing.
        moves: of the product in progress, tangents of the inputs, (B, ...).
        left: of the product in progress, what the way up has left for the way down, (B, ...).
    """

    layer: Layer
    saved: Saved
    rows: dict[Place, Tensor]
    shared: dict[Place, Tensor]
    still: Direction
    moves: list[Tensor | None] = field(default_factory=list)
    left: dict[Place, Tensor] = field(default_factory=dict)

    def tangent(self, moves: Sequence[Tensor | None]) -> Tensor | None:
        """Return the tangent of the output, (B, ...), from those of the inputs."""
        self.moves, self.left = list(moves), {}

        def up(saved: Saved, _: Sequence[Tensor | None]) -> list[Tensor | None]:
            before = dict(saved.extra)
            found = self.layer.tangent(saved, self.still)
            changed = {n: x for n, x in saved.extra.items() if before.get(n) is not x}
            names[:] = changed
            return [found, *changed.values()]

        names: list[str] = []
        found, *left = self._mapped(up, [])
        self.left = {("extra", n): x for n, x in zip(names, left, strict=True) if x is not None}
        return found

    def pull_tangent(self, d_delta: Tensor | None, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the tangents of the cotangents of the inputs, (B, ...)."""

        def down(saved: Saved, given: Sequence[Tensor | None]) -> list[Tensor | None]:
            return self.layer.pull_tangent(saved, given[0], self.still, Moved(), wanted)

        found = self._mapped(down, [d_delta])
        self.moves, self.left = [], {}
        return found

    def _mapped(
        self,
        function: Callable[[Saved, Sequence[Tensor | None]], list[Tensor | None]],
        given: Sequence[Tensor | None],
    ) -> list[Tensor | None]:
        """Return what a function of what is kept, and of tangents, gives of each loss, (B, ...)."""
        kept = self.rows | self.left
        pieces = [*kept.values(), *self.moves, *given]
        present = [i for i, x in enumerate(pieces) if x is not None]
        there: list[int] = []

        def of_one(*tensors: Tensor) -> tuple[Tensor, ...]:
            all_of_them: list[Tensor | None] = [None] * len(pieces)
            for i, x in zip(present, tensors, strict=True):
                all_of_them[i] = x
            own = {at: x for at, x in zip(kept, all_of_them, strict=False) if x is not None}
            saved = with_tensors(self.saved, self.shared | own)
            end = len(kept) + len(self.moves)
            saved.input_tangents = tuple(all_of_them[len(kept) : end])
            found = function(saved, all_of_them[end:])
            size.append(len(found))
            there[:] = [i for i, x in enumerate(found) if x is not None]
            return tuple(x for x in found if x is not None)

        size: list[int] = []
        found = vmap(of_one)(*(x for x in pieces if x is not None))
        result: list[Tensor | None] = [None] * size[0]
        for i, x in zip(there, found, strict=True):
            result[i] = x
        return result
