"""Convolutions, the batch norm after them folded in."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra.products.layers.interface import packed
from spectra.products.tangent.affine import Affine, TwoTerms
from spectra.products.tangent.flat_order import AffineParts

_convolution_backward = torch.ops.aten.convolution_backward


class Convolution(Affine):
    """A convolution of any stride, padding, dilation and number of groups.

    The two terms of a product rule are one convolution over twice the channels, which runs faster
    than two: 16 channels do not fill a vector unit. Those of K directions that share their images
    are one over K times the channels.

    A ring that is not of as many zeros on either side is around x already.
    """

    def __init__(self, parts: AffineParts) -> None:
        super().__init__(parts)
        module = parts.module
        assert not isinstance(module, nn.Linear)
        self.groups, padding = module.groups, _zeros_around(module)
        self.joins, self.turns = module.groups == 1, False
        # What a 1x1 convolution of few channels skips is taken out before its weights' gradient:
        # oneDNN 3.12 else writes past its memory (channels last, fewer channels than a vector
        # register holds; github.com/uxlfoundation/oneDNN/issues/6035).
        self.skips = (
            max(module.weight.shape[2:]) == 1
            and max(module.stride) > 1
            and not any(padding)
            and module.weight.shape[1] < 16
        )
        # Depthwise filters wider than three columns, whose gradient is taken by strips.
        self.has_wide_filters = (
            isinstance(module, nn.Conv2d)
            and module.groups == module.in_channels > 1
            and module.weight.shape[3] > 3
            and module.dilation == (1, 1)
        )
        self.options: tuple[Any, ...] = (
            list(module.stride), padding, list(module.dilation), False,
            [0] * len(module.stride), module.groups,
        )  # fmt: skip

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return weight ∗ x + bias."""
        if self.turns:
            return self._by_turned_filters(x, weight, bias)
        return torch.convolution(x, weight, bias, *self.options)

    def apply_pair(self, terms: TwoTerms, bias: Tensor | None) -> Tensor:
        """Return weight ∗ value + other ∗ second + bias."""
        value, weight, second, other, joined = terms
        if self.groups > 1:
            return self.apply(value, weight, bias).add_(self.apply(second, other, None))
        both = torch.cat([weight, other], 1) if joined is None else joined
        return self.apply(torch.cat([value, second], 1), both, bias)

    def turn(self) -> None:
        """Compute by turned filters where that can be."""
        module = self.parts.module
        square = isinstance(module, nn.Conv2d) and all(
            size % 2 and 2 * pad == size - 1
            for size, pad in zip(module.kernel_size, self.options[1], strict=True)
        )
        strides, _, dilation, *_ = self.options
        self.turns = square and {*strides, *dilation, self.groups} == {1}

    def _by_turned_filters(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return weight ∗ x + bias as the pass back of a convolution whose filters are turned.

        In float64 on a CPU torch's pass forward runs at half the rate of its pass back, where the
        outputs are as large as the inputs.
        """
        turned = packed(weight.flip(-1, -2).transpose(0, 1), torch.channels_last)
        like = x.new_empty((len(x), len(weight), *x.shape[2:]))
        found = self.pulled(x, packed(like, torch.channels_last), turned)
        return found if bias is None else found + bias.view(-1, 1, 1)

    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return weightᵀ δ."""
        return _convolution_backward(delta, x, weight, None, *self.options, [True, False, False])[0]

    def pulled_pair(self, terms: TwoTerms, x: Tensor) -> Tensor:
        """Return weightᵀ value + otherᵀ second."""
        value, weight, second, other, joined = terms
        if self.groups > 1:
            return self.pulled(value, x, weight).add_(self.pulled(second, x, other))
        both = torch.cat([weight, other], 0) if joined is None else joined
        return self.pulled(torch.cat([value, second], 1), x, both)

    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of the weight."""
        return self._gradient(delta, x, self.weight)

    def _gradient(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient of a weight of the shape of ``weight``."""
        # Without the bias: asking for both halves the speed on narrow layers (oneDNN, AVX2).
        if self.has_wide_filters and delta.device.type == "cpu" and x.shape[2] >= weight.shape[2]:
            return self._gradient_by_strips(delta, x, weight)
        strides, *options = self.options
        if self.skips:
            places: tuple[Any, ...] = (..., *(slice(None, None, step) for step in strides))
            x = packed(x[places], torch.channels_last)
            strides = [1] * len(strides)
        return _convolution_backward(
            delta, x, weight, None, strides, *options, [False, True, False]
        )[1]

    def _gradient_by_strips(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient of wide depthwise filters, three of their columns at a time.

        oneDNN 3.12 has a fast way for filters of three columns alone: one of 7x7 takes 20 times as
        long as one of 7x3 otherwise, and a third as long by strips.
        """
        (stride, step), (above, beside), dilation, *_ = self.options
        padded = F.pad(x, (beside, beside))
        delta = packed(delta, torch.channels_last)
        reach, width = (delta.shape[3] - 1) * step, weight.shape[3]
        strips = []
        for start in range(0, width, 3):
            columns = min(3, width - start)
            shape = (*weight.shape[:3], columns)
            strip = packed(padded[..., start : start + reach + columns], torch.channels_last)
            found = _convolution_backward(
                delta, strip, weight.new_empty(shape), None, [stride, step], [above, 0], dilation,
                *self.options[3:], [False, True, False],
            )  # fmt: skip
            strips.append(found[1])
        return torch.cat(strips, 3)

    def apply_each(self, x: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
        """Return weight_k ∗ x + bias_k, (K, n, ...), by one convolution of K O channels."""
        if self.groups > 1:
            return super().apply_each(x, weights, biases)
        bias = None if biases is None else biases.reshape(-1)
        found = self.apply(x, weights.flatten(0, 1), bias)
        return found.unflatten(1, (len(weights), -1)).transpose(0, 1)

    def pulled_each(self, delta: Tensor, x: Tensor, weights: Tensor) -> Tensor:
        """Return weight_kᵀ δ, (K, n, ...), by one convolution of K I channels."""
        if self.groups > 1:
            return super().pulled_each(delta, x, weights)
        count, side = len(weights), weights.transpose(0, 1).flatten(1, 2)
        inputs = x.new_empty((len(x), count * x.shape[1], *x.shape[2:]))
        found = self.pulled(delta, inputs, side)
        return found.unflatten(1, (count, -1)).transpose(0, 1)

    def gradients(self, deltas: Tensor, x: Tensor) -> Tensor:
        """Return the gradients (K, O, ...) of δ_k and one x."""
        if self.groups > 1:
            return super().gradients(deltas, x)
        count = len(deltas) // len(x)
        shape = (count * self.weight.shape[0], *self.weight.shape[1:])
        found = self._gradient(_on_channels(deltas, count), x, self.weight.new_empty(shape))
        return found.unflatten(0, (count, -1))

    def gradients_along(self, delta: Tensor, xs: Tensor) -> Tensor:
        """Return the gradients (K, O, ...) of one δ and x_k."""
        if self.groups > 1:
            return super().gradients_along(delta, xs)
        count = len(xs) // len(delta)
        out, channels, *kernel = self.weight.shape
        wide = self.weight.new_empty((out, count * channels, *kernel))
        found = self._gradient(delta, _on_channels(xs, count), wide)
        return found.unflatten(1, (count, -1)).transpose(0, 1)


def _zeros_around(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> list[int]:
    """Return how many zeros a convolution puts on either side of each axis."""
    ring = module._reversed_padding_repeated_twice
    if module.padding == "valid" or module.padding_mode != "zeros" or ring[::2] != ring[1::2]:
        return [0] * len(module.stride)
    return ring[::-2]


def _on_channels(stacked: Tensor, count: int) -> Tensor:
    """Return (K n, C, ...) as (n, K C, ...), in the memory order of ``stacked``."""
    split = stacked.unflatten(0, (count, -1))  # (K, n, C, ...)
    if stacked.ndim == 4 and stacked.is_contiguous(memory_format=torch.channels_last):
        return split.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)
    return split.transpose(0, 1).flatten(1, 2)
