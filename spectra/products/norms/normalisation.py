"""Normalisation over the last axes: layer and RMS norms, and vectors of unit length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.products.layers.directions import (
    apart,
    below,
    plus_product,
    spread,
    summed_to,
)
from spectra.products.layers.interface import Layer, Saved
from spectra.products.norms.rows import Rows
from spectra.products.tangent.folding import Direction, Moved


class Normalisation(Layer):
    """y = γ x̂ + β, where x̂ is x normalised over rows; of the values x, γ and β.

    With r, p and Π as in :mod:`.rows`, u = γ δ the cotangent of x̂ and x̄ that of x:

        dx̂ = r Π dx, and dy follows by the product rule,
        x̄  = r Π u,
        dx̄ = r Π du - p r (x̄ Σ x̂ dx + x̂ Σ x̄ dx + dx̂ Σ x̂ u), where du = γ dδ + dγ δ.

    Args:
        rows: what is normalised together.
        shape: of γ and β.
        has_weight: whether γ is among the values, after x.
        has_bias: whether β is, after these.
    """

    def __init__(
        self,
        rows: Rows,
        shape: Sequence[int] = (),
        *,
        has_weight: bool = False,
        has_bias: bool = False,
    ) -> None:
        self.rows, self.shape = rows, tuple(shape)
        self.has_weight, self.has_bias = has_weight, has_bias

    def value(self, *inputs: Tensor) -> Tensor:
        """Return γ x̂ + β."""
        y = self.rows.normalised(inputs[0])["values"]
        if self.has_weight:
            y = y * inputs[1]
        return y + inputs[-1] if self.has_bias else y

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return x̄, Σ δ x̂ and Σ δ; keep what the tangents read."""
        x = saved.inputs[0]
        saved.extra = kept = self.rows.normalised(x)
        delta = _in_order(saved.cotangent, kept["values"])
        pulled: list[Tensor | None] = [None, *self._pulled_affine(delta, None, saved, wanted, 1)]
        of_values = delta
        if self.has_weight:
            kept["gamma"] = saved.inputs[1]
            of_values = delta * kept["gamma"]
            if wanted[1]:
                kept["delta"] = delta
        if wanted[0]:
            pulled[0] = back = self.rows.projected(of_values, kept, 1)
            scale = kept["rate"] * kept["weight"]
            kept["back"] = scale * back
            kept["turn"] = scale * self.rows.sum(kept["values"] * of_values, x.ndim)
        return pulled

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return γ dx̂ + dγ x̂ + dβ."""
        kept, count = saved.extra, direction.count
        dx, d_weight, d_bias = self._tangents(saved, count)
        found = d_bias
        if dx is not None:
            kept["moved"] = moved = self.rows.projected(dx, kept, count)
            if self.has_weight:
                found = plus_product(d_bias, moved, kept["gamma"])
            else:
                found = moved if d_bias is None else moved + d_bias
        if d_weight is not None:
            found = plus_product(found, kept["values"], d_weight)
        elif dx is None and found is not None:
            found = found.expand(*found.shape[: count > 1], *kept["values"].shape)
        return below(found, count)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dx̄, Σ (dδ x̂ + δ dx̂) and Σ dδ."""
        kept, count = saved.extra, direction.count
        dx, d_weight, _ = self._tangents(saved, count)
        d_delta = apart(d_delta, count, kept["values"])
        if d_delta is not None:
            d_delta = _in_order(d_delta, kept["values"])
        d_values = kept.pop("moved", None) if dx is not None else None
        pulled = [None, *self._pulled_affine(d_delta, d_values, saved, wanted, count)]
        if not wanted[0]:
            return pulled
        d_of_values = d_delta
        if d_delta is not None and self.has_weight:
            d_of_values = d_delta * kept["gamma"]
        if d_weight is not None:
            d_of_values = plus_product(d_of_values, kept["delta"], d_weight)
        found = None
        if d_of_values is not None:
            found = self.rows.projected(d_of_values, kept, count)
        if dx is not None and d_values is not None:
            values, back = kept["values"], kept["back"]
            if found is None:
                found = torch.zeros_like(d_values)
            for left, right in (
                (kept["turn"], d_values),
                (back, self.rows.sum(values * dx, values.ndim)),
                (values, self.rows.sum(back * dx, values.ndim)),
            ):
                found = self.add_product(found, left, right, value=-1)
        pulled[0] = below(found, count)
        return pulled

    def _tangents(
        self, saved: Saved, count: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return dx, (n, ...) or (K, n, ...), and dγ and dβ as they broadcast over it."""
        values, given = saved.extra["values"], list(saved.input_tangents)
        shape, ndim = self.shape, values.ndim
        dx = apart(given.pop(0), count, values)
        dx = None if dx is None else _in_order(dx, values)
        d_weight = spread(given.pop(0), count, shape, ndim) if self.has_weight else None
        d_bias = spread(given.pop(0), count, shape, ndim) if self.has_bias else None
        return dx, d_weight, d_bias

    def _pulled_affine(
        self,
        delta: Tensor | None,
        d_values: Tensor | None,
        saved: Saved,
        wanted: Sequence[bool],
        count: int,
    ) -> list[Tensor | None]:
        """Return Σ (δ x̂ + saved δ dx̂) and Σ δ, of γ and β where they are values and wanted."""
        kept, found = saved.extra, list[Tensor | None]()
        if self.has_weight:
            terms = None
            if wanted[1] and delta is not None:
                terms = delta * kept["values"]
            if wanted[1] and d_values is not None:
                terms = plus_product(terms, d_values, kept["delta"])
            found.append(self._summed(terms, count))
        if self.has_bias:
            found.append(self._summed(delta if wanted[-1] else None, count))
        return found

    def _summed(self, terms: Tensor | None, count: int) -> Tensor | None:
        """Return the ``terms`` summed to γ and β, directions one below the other."""
        if terms is None:
            return None
        return below(summed_to(terms, count, self.shape), count)


def _in_order(moved: Tensor, values: Tensor) -> Tensor:
    """Return ``moved`` in the memory order of ``values``: one copy here saves one in each use."""
    return moved.contiguous() if values.is_contiguous() else moved
