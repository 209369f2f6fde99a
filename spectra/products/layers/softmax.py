"""Softmax and its logarithm along an axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.products.layers.directions import apart, below
from spectra.products.layers.interface import Layer, Saved
from spectra.products.tangent.folding import Direction, Moved


class OverAnAxis(Layer):
    """What a softmax and its logarithm share: a tangent that is kept for the pull's.

    Args:
        axis: of the sum.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return the tangent of the output, and keep it."""
        p, count = saved.extra["p"], direction.count
        dx = apart(saved.input_tangents[0], count, p)
        if dx is None:
            return None
        saved.extra["moved"] = moved = self.moved(dx, p, from_last(self.axis, p))
        return below(moved, count)

    @abstractmethod
    def moved(self, dx: Tensor, p: Tensor, axis: int) -> Tensor:
        """Return the tangent of the output along that of the input, (K, ...), for the softmax P."""


class Softmax(OverAnAxis):
    """P = exp(x) / Σ exp(x), with dP = P (dx - Σ P dx).

    The cotangent of x is P T with T = δ - Σ P δ, and its tangent is w - P Σ w with
    w = P dδ + T dP.
    """

    def value(self, *inputs: Tensor) -> Tensor:
        """Return P."""
        return inputs[0].softmax(self.axis)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return P T; keep P and T."""
        assert saved.output is not None
        p, kept = saved.output, saved.extra
        axis = from_last(self.axis, p)
        kept["p"] = p
        kept["t"] = centred(saved.cotangent, p, axis)
        return [p * kept["t"]]

    def moved(self, dx: Tensor, p: Tensor, axis: int) -> Tensor:
        """Return P (dx - Σ P dx)."""
        return pulled_softmax(dx, p, axis)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return w - P Σ w."""
        kept, count = saved.extra, direction.count
        p, t = kept["p"], kept["t"]
        d_p = kept.pop("moved", None)
        if saved.input_tangents[0] is None:
            d_p = None
        found = moved_pull(p, t, d_p, apart(d_delta, count, p), from_last(self.axis, p))
        return [below(found, count)]


class LogSoftmax(OverAnAxis):
    """y = x - log Σ exp(x), with dy = dx - Σ P dx for the softmax P.

    The cotangent of x is δ - P Σ δ, and its tangent is dδ - P Σ dδ - P dy Σ δ.
    """

    def value(self, *inputs: Tensor) -> Tensor:
        """Return the logarithm of the softmax."""
        return inputs[0].log_softmax(self.axis)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ - P Σ δ; keep P and P Σ δ."""
        assert saved.output is not None
        kept, delta = saved.extra, saved.cotangent
        kept["p"] = p = saved.output.exp()
        kept["turn"] = p * delta.sum(from_last(self.axis, p), keepdim=True)
        return [delta - kept["turn"]]

    def moved(self, dx: Tensor, p: Tensor, axis: int) -> Tensor:
        """Return dx - Σ P dx."""
        return centred(dx, p, axis)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ - P Σ dδ - P dy Σ δ."""
        kept, count = saved.extra, direction.count
        p = kept["p"]
        dy = kept.pop("moved", None)
        found = apart(d_delta, count, p)
        if found is not None:
            sums = found.sum(from_last(self.axis, p), keepdim=True)
            found = torch.addcmul(found, p, sums, value=-1)
        if dy is not None and saved.input_tangents[0] is not None:
            turned = -kept["turn"] * dy
            found = turned if found is None else found.add_(turned)
        return [below(found, count)]


def from_last(axis: int, value: Tensor) -> int:
    """Return an axis of ``value`` as counted from the last, so that others may stand before."""
    return axis - value.ndim if axis >= 0 else axis


def centred(moved: Tensor, p: Tensor, axis: int) -> Tensor:
    """Return moved - Σ P moved."""
    return moved - (p * moved).sum(axis, keepdim=True)


def pulled_softmax(moved: Tensor, p: Tensor, axis: int) -> Tensor:
    """Return P (moved - Σ P moved), the derivative of a softmax, which is symmetric."""
    if moved.shape == p.shape:
        return torch._softmax_backward_data(moved, p, axis, p.dtype)
    return centred(moved, p, axis).mul_(p)


def moved_pull(
    p: Tensor, t: Tensor, d_p: Tensor | None, d_delta: Tensor | None, axis: int
) -> Tensor | None:
    """Return the tangent of P T, w - P Σ w with w = P dδ + T dP; None where both are None."""
    if d_delta is None and d_p is None:
        return None
    if d_delta is None:
        assert d_p is not None
        w = t * d_p
    else:
        w = p * d_delta
        if d_p is not None:
            w.addcmul_(t, d_p)
    return w.addcmul_(p, w.sum(axis, keepdim=True), value=-1)
