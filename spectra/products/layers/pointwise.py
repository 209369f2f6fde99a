"""Layers that work entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

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
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def value(self, *inputs: Tensor) -> Tensor:
        """Return φ(x)."""
        return self.function(inputs[0])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return φ'(x) δ; keep φ'(x) and φ''(x) δ."""
        with torch.enable_grad():
            x = saved.inputs[0].detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.function(x).sum(), x, create_graph=True)
            bend = torch.zeros_like(x)
            if slope.requires_grad:
                (bend,) = torch.autograd.grad(slope.sum(), x, materialize_grads=True)
        saved.extra.update(slope=slope.detach(), bend=bend * saved.cotangent)
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
        return [
            total(
                None if d_delta is None else _times(d_delta, saved.extra["slope"]),
                None if dx is None else _times(dx, saved.extra["bend"]),
            )
        ]


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
