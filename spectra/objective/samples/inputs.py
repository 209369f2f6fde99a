"""Checks of what a loss over frozen images is given."""

import math

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError
from spectra.objective.samples.input_tree import InputTree, Samples, all_finite


def label_tensor(value: object) -> Tensor:
    """Return a tensor, an array or a list of integers of any type as a tensor of int64.

    Raises:
        InputError: they are not integers.

    >>> label_tensor([0, 2])
    tensor([0, 2])
    """
    if isinstance(value, Tensor):
        kind = value.dtype
        if kind.is_floating_point or kind.is_complex or kind == torch.bool:
            raise InputError(f"labels must be a tensor of integers, got {kind}")
        return value.long()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a ragged list
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"labels must be a tensor or an array of integers, got {type(value).__name__} of "
            f"{array.dtype}"
        )
    return torch.as_tensor(array.astype(np.int64))


def check_inputs(
    samples: Samples,
    labels: Tensor,
    weights: Tensor | None,
    dtype: torch.dtype,
) -> None:
    """Check what a Hessian operator is given.

    Raises:
        InputError: shapes, labels, dtype or weights are not what it takes, or there are no images.
        NonFiniteError: images hold NaN or infinity.
    """
    if dtype not in (torch.float32, torch.float64):
        raise InputError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
    if not isinstance(samples, InputTree) and not samples.ndim:
        raise InputError("images must have shape (n, ...), got a single number")
    if not len(samples):
        raise InputError("there are no images; choose a class that has some")
    if labels.shape != (len(samples),):
        raise InputError(
            f"labels must be integers of shape ({len(samples)},), got shape {tuple(labels.shape)}"
        )
    if int(labels.min()) < 0:
        raise InputError(f"labels must not be negative, got {int(labels.min())}")
    if not all_finite(samples):
        raise NonFiniteError("images hold NaN or infinity")
    if weights is not None:
        check_weights(weights, labels)


def check_weights(weights: Tensor, labels: Tensor) -> None:
    """Check the weights of a mean over images.

    Raises:
        InputError: they are not one an image, finite and >= 0 with a positive sum.
    """
    if not (
        weights.shape == labels.shape and (weights >= 0).all() and 0 < weights.sum() < math.inf
    ):
        raise InputError(
            f"weights must be {len(labels)} finite values >= 0 with a positive sum, got shape "
            f"{tuple(weights.shape)}"
        )


def position_of_another_label(labels: Tensor) -> int:
    """Return the position of an image of another label than the first, or of any other one."""
    others = torch.nonzero(labels != labels[0])[:1, 0].tolist()
    return others[0] if others else 1 % len(labels)
