"""Batch and instance norms that go by running averages: in eval mode they are affine maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.products.layers.directions import apart, below, plus_product
from spectra.products.layers.interface import Layer, Saved
from spectra.products.norms.group_norm import of_channels
from spectra.products.tangent.folding import Direction, Moved


class RunningNorm(Layer):
    """y = γ x̂ + β, x̂ = r (x - μ), r = (σ² + ε)^-½; of the values x, μ, σ² and then γ and β.

    μ and σ² are constants. dx̄ = r (γ dδ + dγ δ).

    Args:
        eps: ε.
        has_weight: whether γ is among the values.
        has_bias: whether β is.
    """

    def __init__(self, eps: float, *, has_weight: bool, has_bias: bool) -> None:
        self.eps, self.has_weight, self.has_bias = eps, has_weight, has_bias

    def value(self, *inputs: Tensor) -> Tensor:
        """Return γ x̂ + β."""
        x, mean, variance = inputs[:3]
        weight = inputs[3] if self.has_weight else None
        bias = inputs[-1] if self.has_bias else None
        return torch.batch_norm(
            x, weight, bias, mean, variance, training=False, momentum=0.0, eps=self.eps,
            cudnn_enabled=False,
        )  # fmt: skip

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return γ r δ, Σ δ x̂ and Σ δ; keep what the tangents read."""
        x, mean, variance = saved.inputs[:3]
        shape = (-1, *[1] * (x.ndim - 2))
        rate = (variance + self.eps).rsqrt().view(shape)
        kept, delta = saved.extra, saved.cotangent
        kept["rate"] = kept["scale"] = rate
        pulled: list[Tensor | None] = [None] * len(wanted)
        if self.has_weight:
            kept["scale"] = rate * saved.inputs[3].view(shape)
            if wanted[3]:
                kept["values"], kept["delta"] = (x - mean.view(shape)) * rate, delta
                pulled[3] = over_places(delta * kept["values"], 1, x.ndim)
        kept["like"] = kept["scale"].expand_as(x)
        if wanted[0]:
            pulled[0] = kept["scale"] * delta
        if self.has_bias and wanted[-1]:
            pulled[-1] = over_places(delta, 1, x.ndim)
        return pulled

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return γ r dx + dγ x̂ + dβ."""
        kept, count = saved.extra, direction.count
        dx, d_weight, found = self._tangents(saved, count)
        like = kept["like"]
        if dx is not None:
            found = plus_product(found, kept["scale"], dx)
        elif found is not None:
            found = found.expand(*found.shape[: count > 1], *like.shape)
        if d_weight is not None:
            found = plus_product(found, kept["values"], d_weight)
        return below(found, count)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return r (γ dδ + dγ δ), Σ (dδ x̂ + δ dx̂) and Σ dδ."""
        kept, count = saved.extra, direction.count
        dx, d_weight, _ = self._tangents(saved, count)
        ndim = kept["like"].ndim
        d_delta = apart(d_delta, count, kept["like"])
        pulled: list[Tensor | None] = [None] * len(wanted)
        if wanted[0]:
            found = None if d_delta is None else kept["scale"] * d_delta
            if d_weight is not None:
                found = plus_product(found, kept["rate"] * d_weight, kept["delta"])
            pulled[0] = below(found, count)
        if self.has_weight and wanted[3]:
            terms = None if d_delta is None else d_delta * kept["values"]
            if dx is not None:
                terms = plus_product(terms, kept["delta"], kept["rate"] * dx)
            pulled[3] = None if terms is None else over_places(terms, count, ndim)
        if self.has_bias and wanted[-1] and d_delta is not None:
            pulled[-1] = over_places(d_delta, count, ndim)
        return pulled

    def _tangents(
        self, saved: Saved, count: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return dx, (n, ...) or (K, n, ...), and dγ and dβ as they broadcast over it."""
        given, like = saved.input_tangents, saved.extra["like"]
        d_weight = of_channels(given[3], count, like.ndim) if self.has_weight else None
        d_bias = of_channels(given[-1], count, like.ndim) if self.has_bias else None
        return apart(given[0], count, like), d_weight, d_bias


def over_places(terms: Tensor, count: int, ndim: int) -> Tensor:
    """Return values of ``ndim`` axes, or K of them, added up for each channel, (C,) or (K C,)."""
    lead = int(count > 1)
    return terms.sum([lead, *range(lead + 2, lead + ndim)]).flatten()
