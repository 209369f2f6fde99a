"""Normalisation of groups of channels: group and instance norms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.products.layers.directions import apart, below, plus_product
from spectra.products.layers.interface import Layer, Saved
from spectra.products.tangent.folding import Direction, Moved


class GroupNorm(Layer):
    """y = γ x̂ + β, where x̂ is x normalised over each group of channels; of the values x, γ and β.

    For each image and channel let s[z] be the sum of z over the places, and a[z] the mean over the
    channel's group. With r the reciprocal of the group's deviation, and the cotangent δ of y:

        A₀ = r a[γδ], B₀ = r a[γδ x̂], A₁ = r a[dx], B₁ = r a[x̂ dx]
        x̄ = r γ δ - A₀ - B₀ x̂, and likewise dx̂ = r dx - A₁ - B₁ x̂.

    The tangent of x̄ is a combination of dδ, δ, dx and x̂ whose coefficients are one an image and
    channel: all that takes a pass over the places are a few sums and a few additions.

    Args:
        groups: how many the channels, the second axis, are divided into; None: each is one.
        eps: added to the variance.
        has_weight: whether γ is among the values, after x.
        has_bias: whether β is, after these.
    """

    def __init__(self, groups: int | None, eps: float, *, has_weight: bool, has_bias: bool) -> None:
        self.groups, self.eps = groups, eps
        self.has_weight, self.has_bias = has_weight, has_bias

    def value(self, *inputs: Tensor) -> Tensor:
        """Return γ x̂ + β."""
        x = inputs[0]
        weight = inputs[1] if self.has_weight else None
        bias = inputs[-1] if self.has_bias else None
        return torch.group_norm(x, self.groups or x.shape[1], weight, bias, self.eps)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return x̄, Σ δ x̂ and Σ δ; keep x̂, δ and their sums."""
        x, delta = saved.inputs[0], saved.cotangent
        kept = saved.extra
        centred = x - self._mean(_sum(x, x.ndim), x)
        kept["rate"] = rate = (self._mean(_sum(centred * centred, x.ndim), x) + self.eps).rsqrt()
        kept["values"] = values = centred.mul_(rate)
        kept["delta"] = delta
        kept["sum"], kept["along"] = _sum(delta, x.ndim), _sum(delta * values, x.ndim)
        weight = rate.new_ones(())
        if self.has_weight:
            weight = saved.inputs[1].reshape(-1, *[1] * (x.ndim - 2))
        kept["gamma"], kept["scale"] = weight, weight * rate
        kept["shift"] = rate * self._mean(weight * kept["sum"], x)
        kept["turn"] = rate * self._mean(weight * kept["along"], x)
        found: list[Tensor | None] = [None]
        if wanted[0]:
            pulled = torch.addcmul(-kept["shift"], kept["scale"], delta)
            found = [pulled.addcmul_(kept["turn"], values, value=-1)]
        if self.has_weight:
            found.append(over_images(kept["along"], 1) if wanted[1] else None)
        if self.has_bias:
            found.append(over_images(kept["sum"], 1) if wanted[-1] else None)
        return found

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return r γ dx + (dγ - γ B₁) x̂ + dβ - γ A₁."""
        kept, count = saved.extra, direction.count
        dx, d_weight, d_bias = self._tangents(saved, count)
        values, of_values, shift, reuses = kept["values"], d_weight, d_bias, False
        found: Tensor | None = None
        if dx is not None:
            reuses = self.adds_in_place
            found = torch.empty_like(dx) if self.adds_in_place else None
            kept["moved_sum"] = _sum(dx, values.ndim)
            kept["moved_along"] = _sum_of_product(values, dx, values.ndim, found)
            kept["moved_shift"] = kept["rate"] * self._mean(kept["moved_sum"], values)
            kept["moved_turn"] = kept["rate"] * self._mean(kept["moved_along"], values)
            shift = plus_product(d_bias, kept["gamma"], -kept["moved_shift"])
            of_values = plus_product(d_weight, kept["gamma"], -kept["moved_turn"])
            found = torch.addcmul(shift, kept["scale"], dx, out=found)
        elif d_bias is not None:
            found = d_bias.expand(*d_bias.shape[: count > 1], *values.shape)
        if of_values is not None:
            found = plus_product(found, of_values, values, out=found if reuses else None)
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
        values, delta, rate, gamma = kept["values"], kept["delta"], kept["rate"], kept["gamma"]
        dx, d_weight, _ = self._tangents(saved, count)
        d_delta = apart(d_delta, count, values)
        zero = rate.new_zeros([count] * (count > 1) + list(rate.shape))
        d_sum = d_along = shift = turn = of_delta = zero
        # One piece of memory for all passes: a fresh one costs as much as what is written to it.
        bent = None
        if self.adds_in_place:
            bent = torch.empty_like(delta if d_delta is None else d_delta)
        if count > 1 and d_delta is None:
            bent = delta.new_empty((count, *delta.shape))
        if d_delta is not None:
            d_sum = _sum(d_delta, values.ndim)
            d_along = _sum_of_product(d_delta, values, values.ndim, bent)
            shift, turn = gamma * d_sum, gamma * d_along
        if d_weight is not None:
            shift = shift + d_weight * kept["sum"]
            turn = turn + d_weight * kept["along"]
            of_delta = zero + d_weight
        shift, turn = -rate * self._mean(shift, values), -rate * self._mean(turn, values)
        if dx is not None:
            a, b = kept["shift"], kept["turn"]
            da, db = kept.pop("moved_shift"), kept.pop("moved_turn")
            sums, along = kept.pop("moved_sum"), kept.pop("moved_along")
            crossed = _sum_of_product(delta, dx, values.ndim, bent)
            pulled = kept["scale"] * crossed - a * sums - b * along
            turn = turn + 2 * b * db - rate * self._mean(pulled, values)
            shift = shift + db * a + b * da
            of_delta = of_delta - db * gamma
            d_along = d_along + rate * crossed - da * kept["sum"] - db * kept["along"]
        found: list[Tensor | None] = [None]
        if wanted[0]:
            bent = torch.addcmul(shift, turn, values, out=bent)
            bent = self.add_product(bent, rate * of_delta, delta)
            if d_delta is not None:
                bent = self.add_product(bent, kept["scale"], d_delta)
            if dx is not None:
                bent = self.add_product(bent, rate * kept["turn"], dx, value=-1)
            found = [below(bent, count)]
        for i, sums in enumerate([d_along] * self.has_weight + [d_sum] * self.has_bias, 1):
            found.append(over_images(sums, count) if wanted[i] else None)
        return found

    def _tangents(
        self, saved: Saved, count: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return dx, (n, ...) or (K, n, ...), and dγ and dβ as they broadcast over it."""
        given, values = saved.input_tangents, saved.extra["values"]
        dx = apart(given[0], count, values)
        d_weight = of_channels(given[1], count, values.ndim) if self.has_weight else None
        d_bias = of_channels(given[-1], count, values.ndim) if self.has_bias else None
        return dx, d_weight, d_bias

    def _mean(self, sums: Tensor, x: Tensor) -> Tensor:
        """Return the mean over each group of what is summed over the places, one a channel."""
        number = self.groups or x.shape[1]
        size, share = x.shape[1] // number, number * len(x) / x.numel()
        if size == 1:
            return sums * share
        channels = 1 - x.ndim
        groups = sums.unflatten(channels, (number, size)).sum(channels, keepdim=True)
        expanded = groups.mul_(share).expand(*groups.shape[:channels], size, *[1] * (x.ndim - 2))
        return expanded.reshape(sums.shape)


def _sum(x: Tensor, ndim: int) -> Tensor:
    """Return the sum over the places of x, of ``ndim`` axes, or of K tangents: (..., C, 1, ...)."""
    return x.sum(tuple(range(2 - ndim, 0)), keepdim=True) if ndim > 2 else x


def _sum_of_product(left: Tensor, right: Tensor, ndim: int, scratch: Tensor | None) -> Tensor:
    """Return the sum over the places of left right; ``scratch``, if any, is overwritten."""
    product = torch.mul(left, right, out=scratch)
    return _sum(product, ndim) if ndim > 2 else product.clone()


def of_channels(parameter: Tensor | None, count: int, ndim: int) -> Tensor | None:
    """Return γ, β or K tangents of them as they broadcast over values of ``ndim`` axes."""
    if parameter is None:
        return None
    ones = [1] * (ndim - 2)
    return parameter.reshape(*[count, 1] * (count > 1), -1, *ones)


def over_images(sums: Tensor, count: int) -> Tensor:
    """Return sums (n, C, 1, ...) added up, (C,), or those of K directions, (K C,)."""
    return sums.sum(1 if count > 1 else 0).flatten()
