"""Tangents of K directions beside values that all directions share.

A value of shape (n, ...) has tangents (K n, ...), one direction below the other, and a value of no
axes has (K,). Layers compute with (K, n, ...), which broadcasts with values as it is; where K is 1
there is no axis for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def apart(stacked: Tensor | None, count: int, value: Tensor) -> Tensor | None:
    """Return the tangents of ``value`` as (K, *shape), those of one direction as they are."""
    if stacked is None or count == 1:
        return stacked
    return stacked.reshape(count, *value.shape)


def below(tangents: Tensor | None, count: int) -> Tensor | None:
    """Return what :func:`apart` returns with directions one below the other again."""
    if tangents is None or count == 1 or tangents.ndim == 1:
        return tangents
    return tangents.flatten(0, 1)


def spread(tangents: Tensor | None, count: int, shape: Sequence[int], ndim: int) -> Tensor | None:
    """Return tangents (K, *s) as (K, 1, ..., *shape), of ``ndim`` axes behind that of directions.

    Args:
        tangents: of a value that broadcasts over one of ``ndim`` axes.
        count: K.
        shape: the value's shape, perhaps with further axes of length 1.
        ndim: axes of what it is combined with.
    """
    if tangents is None:
        return None
    if count == 1:
        return tangents.reshape(tuple(shape))
    return tangents.reshape(count, *[1] * (ndim - len(shape)), *shape)


def summed_to(tangents: Tensor, count: int, shape: Sequence[int]) -> Tensor:
    """Return (K, *broadcast shape) summed over what ``shape`` was broadcast over, (K, *shape)."""
    lead = 0 if count == 1 else 1
    extra = tangents.ndim - lead - len(shape)
    axes = [lead + i for i in range(extra)]
    axes += [
        lead + extra + i
        for i, size in enumerate(shape)
        if size == 1 and tangents.shape[lead + extra + i] != 1
    ]
    if not axes:
        return tangents
    return tangents.sum(axes).reshape(tangents.shape[:lead] + torch.Size(shape))


def plus_product(
    before: Tensor | None, left: Tensor, right: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """Return before + left right, entry by entry; in ``out``, where it is given."""
    return left * right if before is None else torch.addcmul(before, left, right, out=out)


def shape_of(value: Tensor) -> Tensor:
    """Return a tensor of the shape of ``value`` that holds one number."""
    return value.new_empty(()).expand_as(value)
