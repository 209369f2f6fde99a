"""Convolutions and linear layers, the batch norm after them folded in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra.products.folding import AffineModule, Folded, Norm, Plain
from spectra.products.layers import Directions, Layer, Saved, packed, total

_convolution_backward = torch.ops.aten.convolution_backward


class Affine(Layer):
    """y = W' ∗ x + b', a convolution or a linear layer with what :mod:`.folding` makes of it.

    Args:
        names: of ``weight``, ``bias``, ``gamma``, ``beta``: the parameters that are trained.
        module: the convolution or linear layer.
        norm: the batch norm after it, or None.
    """

    keeps = frozenset({"inputs", "delta"})

    def __init__(self, names: dict[str, str], module: AffineModule, norm: Norm | None) -> None:
        self.names = names
        self.folding = Plain(names, module) if norm is None else Folded(names, module, norm)
        self.weight, self.bias = self.folding.weight, self.folding.bias

    @abstractmethod
    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return weight ∗ x + bias."""

    @abstractmethod
    def apply_pair(
        self, x: Tensor, weight: Tensor, y: Tensor, other: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Return weight ∗ x + other ∗ y + bias."""

    @abstractmethod
    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return weightᵀ δ, the cotangent of x."""

    @abstractmethod
    def pulled_pair(
        self, delta: Tensor, weight: Tensor, other_delta: Tensor, other: Tensor, x: Tensor
    ) -> Tensor:
        """Return weightᵀ δ + otherᵀ other_δ."""

    @abstractmethod
    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of the weight, δ xᵀ summed over images and places."""

    def bias_gradient(self, delta: Tensor) -> Tensor:
        """Return δ summed over images and places."""
        return delta.sum([i for i in range(delta.ndim) if i != 1])

    def value(self, *inputs: Tensor) -> Tensor:
        """Return W' ∗ x + b'."""
        return self.apply(inputs[0], self.weight, self.bias)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangent of x; keep the gradients of W' and b', which unfolding needs."""
        (x,), delta = saved.inputs, saved.cotangent
        if self.folding.needs_gradients:
            saved.extra["weight"] = self.gradient(delta, x)
            saved.extra["bias"] = self.bias_gradient(delta)
        return [self.pulled(delta, x, self.weight) if wanted[0] else None]

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return W' ∗ dx + dW' ∗ x + db'."""
        (x,), (dx,) = saved.inputs, saved.input_tangents
        d_weight, d_bias = self.folding.fold(directions)
        saved.d_weight = d_weight
        if d_weight is not None and dx is not None:
            return self.apply_pair(dx, self.weight, x, d_weight, d_bias)
        if d_weight is not None:
            return self.apply(x, d_weight, d_bias)
        if dx is not None:
            return self.apply(dx, self.weight, d_bias)
        if d_bias is None:
            return None
        delta = saved.cotangent
        return d_bias.view(1, -1, *[1] * (delta.ndim - 2)).expand_as(delta)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return d(W'ᵀ δ) = W'ᵀ dδ + dW'ᵀ δ; the gradients likewise by the product rule."""
        (x,), (dx,), delta = saved.inputs, saved.input_tangents, saved.cotangent
        d_weight, saved.d_weight = saved.d_weight, None
        moved = None if d_delta is None else self.gradient(d_delta, x)
        if dx is not None:
            moved = total(moved, self.gradient(delta, dx))
        bias = None if d_delta is None else self.bias_gradient(d_delta)
        known = None
        if self.folding.needs_gradients:
            known = saved.extra["weight"], saved.extra["bias"]
        self.folding.unfold((moved, bias), known, directions, gradients)
        if not wanted[0]:
            return [None]
        if d_delta is not None and d_weight is not None:
            return [self.pulled_pair(d_delta, self.weight, delta, d_weight, x)]
        if d_delta is not None:
            return [self.pulled(d_delta, x, self.weight)]
        return [None if d_weight is None else self.pulled(delta, x, d_weight)]


class Convolution(Affine):
    """A convolution of any stride, padding, dilation and number of groups.

    The two terms of a product rule are one convolution over twice the channels, which runs faster
    than two: 16 channels do not fill a vector unit.
    """

    def __init__(
        self,
        names: dict[str, str],
        module: nn.Conv1d | nn.Conv2d | nn.Conv3d,
        norm: Norm | None,
    ) -> None:
        super().__init__(names, module, norm)
        self.groups = module.groups
        # What a 1x1 convolution of few channels skips is taken out before its weights' gradient:
        # oneDNN 3.12 else writes past its memory (channels last, fewer channels than a vector
        # register holds; github.com/uxlfoundation/oneDNN/issues/6035).
        self.skips = (
            max(module.weight.shape[2:]) == 1
            and max(module.stride) > 1
            and not any(module.padding)
            and module.weight.shape[1] < 16
        )
        self.options: tuple[Any, ...] = (
            list(module.stride), list(module.padding), list(module.dilation), False,
            [0] * len(module.stride), module.groups,
        )  # fmt: skip

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return weight ∗ x + bias."""
        return torch.convolution(x, weight, bias, *self.options)

    def apply_pair(
        self, x: Tensor, weight: Tensor, y: Tensor, other: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Return weight ∗ x + other ∗ y + bias."""
        if self.groups > 1:
            return self.apply(x, weight, bias).add_(self.apply(y, other, None))
        return self.apply(torch.cat([x, y], 1), torch.cat([weight, other], 1), bias)

    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return weightᵀ δ."""
        return _convolution_backward(delta, x, weight, None, *self.options, [True, False, False])[0]

    def pulled_pair(
        self, delta: Tensor, weight: Tensor, other_delta: Tensor, other: Tensor, x: Tensor
    ) -> Tensor:
        """Return weightᵀ δ + otherᵀ other_δ."""
        if self.groups > 1:
            return self.pulled(delta, x, weight).add_(self.pulled(other_delta, x, other))
        return self.pulled(torch.cat([delta, other_delta], 1), x, torch.cat([weight, other], 0))

    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of the weight."""
        # Without the bias: asking for both halves the speed on narrow layers (oneDNN, AVX2).
        strides, *options = self.options
        if self.skips:
            places: tuple[Any, ...] = (..., *(slice(None, None, step) for step in strides))
            x = packed(x[places])
            strides = [1] * len(strides)
        return _convolution_backward(
            delta, x, self.weight, None, strides, *options, [False, True, False]
        )[1]


class LinearLayer(Affine):
    """A linear layer on (n, features)."""

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x weightᵀ + bias."""
        return F.linear(x, weight, bias)

    def apply_pair(
        self, x: Tensor, weight: Tensor, y: Tensor, other: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Return x weightᵀ + y otherᵀ + bias."""
        return F.linear(x, weight, bias).addmm_(y, other.T)

    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return δ weight."""
        return delta @ weight

    def pulled_pair(
        self, delta: Tensor, weight: Tensor, other_delta: Tensor, other: Tensor, x: Tensor
    ) -> Tensor:
        """Return δ weight + other_δ other."""
        return (delta @ weight).addmm_(other_delta, other)

    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return δᵀ x."""
        return delta.T @ x
