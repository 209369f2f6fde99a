"""Layers that work entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spectra.products.layers import Directions, Layer, Saved, total

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

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return dx where x > 0."""
        (dx,) = saved.input_tangents
        return None if dx is None else _threshold_backward(dx, saved.output, 0)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ where x > 0."""
        return [None if d_delta is None else _threshold_backward(d_delta, saved.output, 0)]


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

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return φ'(x) dx."""
        (dx,) = saved.input_tangents
        return None if dx is None else saved.extra["slope"] * dx

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return φ'(x) dδ + φ''(x) dx δ."""
        (dx,) = saved.input_tangents
        return [
            total(
                None if d_delta is None else saved.extra["slope"] * d_delta,
                None if dx is None else saved.extra["bend"] * dx,
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

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return dx + dy."""
        return total(*saved.input_tangents)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ twice."""
        return [d_delta, d_delta]
