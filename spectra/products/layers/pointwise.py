"""Layers that work entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spectra.products.layers.directions import (
    apart,
    below,
    plus_product,
    shape_of,
    spread,
    summed_to,
)
from spectra.products.layers.interface import Layer, Saved, total, with_each_direction
from spectra.products.tangent.folding import Direction, Moved

_threshold_backward = torch.ops.aten.threshold_backward


class Relu(Layer):
    """max(x, 0): its second derivative is 0 wherever it has one."""

    keeps = frozenset({"output"})

    def value(self, *inputs: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return torch.relu(inputs[0])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ where x > 0."""
        return [_threshold_backward(saved.delta, saved.output, 0)]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return dx where x > 0."""
        (dx,) = saved.input_tangents
        return self._passed(saved, dx)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ where x > 0."""
        return [self._passed(saved, d_delta)]

    def _passed(self, saved: Saved, moved: Tensor | None) -> Tensor | None:
        """Return ``moved`` where x > 0."""
        if moved is None:
            return None
        assert saved.output is not None
        return with_each_direction(lambda d, y: _threshold_backward(d, y, 0), moved, saved.output)


class Activation(Layer):
    """An elementwise function with φ' and φ'' by automatic differentiation, saved once.

    Args:
        function: elementwise and twice differentiable almost everywhere.
        bends: whether φ'' is anything but 0.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, bends: bool = True) -> None:
        self.function, self.bends = function, bends

    def value(self, *inputs: Tensor) -> Tensor:
        """Return φ(x)."""
        return self.function(inputs[0])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return φ'(x) δ; keep φ'(x) and φ''(x) δ."""
        with torch.enable_grad():
            x = saved.inputs[0].detach().requires_grad_()
            y = self.function(x).sum()
            (slope,) = torch.autograd.grad(y, x, create_graph=self.bends)
            if self.bends:
                bend = torch.zeros_like(x)
                if slope.requires_grad:
                    (bend,) = torch.autograd.grad(slope.sum(), x, materialize_grads=True)
                saved.extra["bend"] = bend * saved.cotangent
        saved.extra["slope"] = slope.detach()
        return [saved.extra["slope"] * saved.cotangent]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return φ'(x) dx."""
        (dx,) = saved.input_tangents
        return None if dx is None else _times(dx, saved.extra["slope"])

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return φ'(x) dδ + φ''(x) dx δ."""
        (dx,) = saved.input_tangents
        found = None if d_delta is None else _times(d_delta, saved.extra["slope"])
        if dx is None or not self.bends:
            return [found]
        bent = _times(dx, saved.extra["bend"])
        return [bent if found is None else found.add_(bent)]


class PRelu(Layer):
    """x where it is above 0, else a x; of the values x and a, one a channel or one for all.

    Its cotangents are those of a product, of a and min(x, 0).
    """

    def value(self, *inputs: Tensor) -> Tensor:
        """Return max(x, 0) + a min(x, 0)."""
        return torch.prelu(*inputs)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ times the slope, and Σ δ min(x, 0); keep these, and δ where x is not above 0."""
        x, a = saved.inputs
        delta, kept = saved.cotangent, saved.extra
        spread_a = a.view(-1, *[1] * (x.ndim - 2)) if a.numel() > 1 else a
        kept["a"] = shape_of(a)
        kept["slope"] = torch.where(x > 0, 1.0, spread_a)
        if wanted[1]:
            kept["below"], kept["delta"] = x.clamp_max(0), delta.masked_fill(x > 0, 0.0)
        return [
            delta * kept["slope"] if wanted[0] else None,
            self._summed(delta * kept["below"], saved, 1) if wanted[1] else None,
        ]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return dx times the slope plus da min(x, 0)."""
        kept, count = saved.extra, direction.count
        dx, da = self._tangents(saved, count)
        found = None if dx is None else dx * kept["slope"]
        return below(found if da is None else plus_product(found, kept["below"], da), count)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents by the product rule; where x is above 0, a is not read."""
        kept, count = saved.extra, direction.count
        dx, da = self._tangents(saved, count)
        d_delta = apart(d_delta, count, kept["slope"])
        of_x = of_a = None
        if d_delta is not None:
            of_x = d_delta * kept["slope"] if wanted[0] else None
            of_a = d_delta * kept["below"] if wanted[1] else None
        if da is not None and wanted[0]:
            of_x = plus_product(of_x, kept["delta"], da)
        if dx is not None and wanted[1]:
            of_a = plus_product(of_a, kept["delta"], dx)
        return [below(of_x, count), None if of_a is None else self._summed(of_a, saved, count)]

    def _tangents(self, saved: Saved, count: int) -> tuple[Tensor | None, Tensor | None]:
        """Return dx, and da as it broadcasts over it."""
        (dx, da), slope = saved.input_tangents, saved.extra["slope"]
        ones = [1] * (slope.ndim - 2)
        da = spread(da, count, (saved.extra["a"].numel(), *ones), slope.ndim)
        return apart(dx, count, slope), da

    def _summed(self, terms: Tensor, saved: Saved, count: int) -> Tensor:
        """Return the sums over all that reads the same entry of a, (A,) or (K A,)."""
        size, ones = saved.extra["a"].numel(), [1] * (saved.extra["slope"].ndim - 2)
        return summed_to(terms, count, (size, *ones)).flatten()


class Sum(Layer):
    """x + y of two values of one shape."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Return x + y."""
        return inputs[0] + inputs[1]

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ twice."""
        return [saved.delta, saved.delta]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return dx + dy."""
        return total(*saved.input_tangents)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ twice."""
        return [d_delta, d_delta]


def _times(stacked: Tensor, values: Tensor) -> Tensor:
    """Return tangents (K n, ...) times values (n, ...)."""
    return with_each_direction(lambda d, factor: factor * d, stacked, values)
