"""Affine layers along several directions, each with images of its own.

W' is one for all losses, so what it is applied to goes through one ordinary convolution or matrix
product. dW' is another one for each loss: convolutions become one of as many groups, linear layers
a batch of matrix products. Values and tangents are (B, n, ...), B losses of n images each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spectra.products.layers.interface import packed
from spectra.products.tangent.affine import Affine
from spectra.products.tangent.convolution import Convolution, _on_channels
from spectra.products.tangent.folding import Direction, Moved

_convolution_backward = torch.ops.aten.convolution_backward


def wide_room(like: Tensor, count: int) -> Tensor:
    """Return zeros (B, n, C, ...) that convolutions of as many groups take as they lie there.

    Args:
        like: of one loss, (n, C, ...), whose order of memory they have.
        count: B.
    """
    n, channels, *places = like.shape
    wide = like.new_zeros((n, count * channels, *places))
    if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
        wide = packed(wide, torch.channels_last)
    return _apart(wide, count)


def tangent(
    layer: Affine, values: tuple[Tensor, Tensor], dx: Tensor | None, direction: Direction
) -> Tensor | None:
    """Return W' ∗ dx_b + dW'_b ∗ x_b + db'_b, (B, n, ...).

    Args:
        layer: with W'.
        values: its input x and the cotangent δ of its output.
        dx: tangent of x.
        direction: of B vectors; dW' of a convolution is put into one piece of memory.
    """
    x, delta = values
    weights, biases = direction.weights[layer.place], direction.biases[layer.place]
    found = None
    if dx is not None:
        found = layer.apply(dx.flatten(0, 1), layer.weight, None).unflatten(0, (len(dx), -1))
    if weights is not None:
        if isinstance(layer, Convolution):  # it is read once more on the way back
            weights = direction.weights[layer.place] = _in_one_piece(weights)
        own = _applied(layer, x, weights, biases)
        return _in_batches(own) if found is None else found.add_(own)
    if biases is None:
        return found
    channels = layer.channels % (delta.ndim - 1) + 1
    shape = [len(biases)] + [1] * (delta.ndim - 1)
    shape[channels] = -1
    spread = biases.view(shape).expand_as(delta)
    return spread if found is None else found.add_(spread)


def pull_tangent(
    layer: Affine,
    values: tuple[Tensor, Tensor],
    moves: tuple[Tensor | None, Tensor | None],
    direction: Direction,
    moved: Moved,
    *,
    wanted: bool,
) -> Tensor | None:
    """Return W'ᵀ dδ_b + dW'_bᵀ δ_b, (B, n, ...); put the gradients' tangents into ``moved``.

    Args:
        layer: with W'.
        values: its input x and the cotangent δ of its output.
        moves: tangents dx and dδ of both.
        direction: of B vectors.
        moved: takes those of the gradients of W' and b'.
        wanted: whether the cotangent of x moves; else nothing is returned.
    """
    (x, delta), (dx, d_delta), place = values, moves, layer.place
    if layer.moves_weight:
        terms = [] if d_delta is None else [_gradients(layer, d_delta, x)]
        terms += [] if dx is None else [_gradients(layer, delta, dx)]
        moved.weights[place] = terms
    if d_delta is not None and (layer.moves_bias or layer.moves_weight):
        moved.biases[place] = layer.bias_gradient(d_delta.flatten(0, 1), len(delta))
    if not wanted:
        return None
    weights, found = direction.weights[place], None
    if d_delta is not None:
        joined = layer.pulled(d_delta.flatten(0, 1), _empty_batch(x), layer.weight)
        found = joined.unflatten(0, (len(delta), -1))
    if weights is None:
        return found
    own = _pulled(layer, delta, x, weights)
    return _in_batches(own) if found is None else found.add_(own)


def _applied(layer: Affine, x: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
    """Return weight_b ∗ x_b + bias_b."""
    if not isinstance(layer, Convolution):
        found = _rows(x) @ weights.mT
        found = found if biases is None else found.add_(biases[:, None])
        return found.view(*x.shape[:-1], weights.shape[1])
    flat = None if biases is None else biases.reshape(-1)
    count, filters = len(weights), weights.flatten(0, 1)
    wide = torch.convolution(_wide(x), filters, flat, *_by_losses(layer, count))
    return _apart(wide, count)


def _pulled(layer: Affine, delta: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    """Return weight_bᵀ δ_b."""
    if not isinstance(layer, Convolution):
        return (_rows(delta) @ weights).view(x.shape)
    count, n = x.shape[:2]
    like = x.new_empty((n, count * x.shape[2], *x.shape[3:]))
    wide = _convolution_backward(
        _wide(delta), like, weights.flatten(0, 1), None, *_by_losses(layer, count),
        [True, False, False],
    )[0]  # fmt: skip
    return _apart(wide, count)


def _gradients(layer: Affine, delta: Tensor, x: Tensor) -> Tensor:
    """Return the gradients of the weight, (B, O, ...), of δ_b and x_b."""
    if not isinstance(layer, Convolution):
        return _rows(delta).mT @ _rows(x)
    count, weight = len(x), layer.weight
    strides, *others = _by_losses(layer, count)
    inputs = _wide(x)
    if layer.skips:  # see there
        places: tuple[Any, ...] = (..., *(slice(None, None, step) for step in strides))
        inputs = packed(inputs[places], torch.channels_last)
        strides = [1] * len(strides)
    found = _convolution_backward(
        _wide(delta), inputs, weight.new_empty((count * len(weight), *weight.shape[1:])), None,
        strides, *others, [False, True, False],
    )[1]  # fmt: skip
    gradients: Tensor = found.unflatten(0, (count, -1))
    return gradients


def _in_one_piece(weights: Tensor) -> Tensor:
    """Return weights (B, O, ...) so that (B O, ...) is a view, each in its order of memory."""
    wide = torch.empty(
        (len(weights) * weights.shape[1], *weights.shape[2:]),
        dtype=weights.dtype,
        device=weights.device,
        memory_format=_order(weights),
    )
    return wide.unflatten(0, (len(weights), -1)).copy_(weights)


def _empty_batch(values: Tensor) -> Tensor:
    """Return a tensor of the shape and the order of memory of values as one batch, (B n, ...)."""
    return torch.empty(
        (len(values) * values.shape[1], *values.shape[2:]),
        dtype=values.dtype,
        device=values.device,
        memory_format=_order(values),
    )


def _in_batches(values: Tensor) -> Tensor:
    """Return (B, n, ...) of which (B n, ...) is a view."""
    if values.is_contiguous():
        return values
    return _empty_batch(values).unflatten(0, (len(values), -1)).copy_(values)


def _order(values: Tensor) -> torch.memory_format:
    """Return whether channels are last in (B, n, C, h, w)."""
    last = values.ndim == 5 and values.stride(2) == 1 and values.shape[2] > 1
    return torch.channels_last if last else torch.contiguous_format


def _by_losses(layer: Convolution, count: int) -> tuple[Any, ...]:
    """Return a convolution's options for as many groups of each loss as it has."""
    *others, groups = layer.options
    return *others, groups * count


def _rows(values: Tensor) -> Tensor:
    """Return (B, n, ..., features) as rows of each loss, (B, N, features)."""
    return values.reshape(len(values), -1, values.shape[-1])


def _wide(values: Tensor) -> Tensor:
    """Return (B, n, C, ...) as (n, B C, ...); of :func:`wide_room`, without a copy."""
    by_image = values.transpose(0, 1)
    if by_image.stride(1) == by_image.shape[2] * by_image.stride(2):
        return by_image.flatten(1, 2)
    return _on_channels(values.flatten(0, 1), len(values))


def _apart(wide: Tensor, count: int) -> Tensor:
    """Return (n, B C, ...) as (B, n, C, ...)."""
    return wide.unflatten(1, (count, -1)).transpose(0, 1)
