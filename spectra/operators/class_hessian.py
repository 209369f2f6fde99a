"""The Hessian of the loss of some classes, from images and labels as a caller has them."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spectra.errors import InputError
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.placement import place
from spectra.operators.hessian import HessianOperator


def class_hessian(
    model: nn.Module,
    images: Tensor | npt.NDArray[Any],
    labels: Tensor | npt.NDArray[Any] | Sequence[int],
    classes: int | Iterable[int] | None,
    *,
    loss: PerSampleLoss | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> HessianOperator:
    """Return the Hessian of the mean loss over the images of one class, of several, or of all.

    Args:
        model: maps images to outputs.
        images: normalised, (n, channels, h, w).
        labels: integers, (n,); int64 where they are a tensor.
        classes: which labels to keep; None for every image.
        loss: per-sample loss; cross-entropy of the outputs where None.
        dtype: of the products.
        device: where to compute; None: where model and images are, see
            :func:`spectra.objective.placement.place`. Labels may be anywhere.

    Raises:
        InputError: an argument is not as above, or no image has such a label.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    images = _as_tensor("images", images, "f", "floats")
    labels = _as_tensor("labels", labels, "iu", "integers")
    device = place(model, images, device)
    if classes is not None:
        if labels.shape != images.shape[:1]:
            raise InputError(
                f"labels must have shape {tuple(images.shape[:1])}, one an image, got "
                f"{tuple(labels.shape)}"
            )
        wanted = _class_labels(classes)
        keep = torch.isin(labels, torch.tensor(wanted, device=labels.device))
        if not keep.any():
            raise InputError(f"no image has a label among {wanted}")
        images, labels = images[keep.to(images.device)], labels[keep]
    return HessianOperator(model, images, labels, loss=loss, dtype=dtype, device=device)


def _as_tensor(name: str, value: object, kinds: str, what: str) -> Tensor:
    """Return an array or list of numbers whose NumPy kind is among ``kinds`` as a tensor."""
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a ragged list
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in kinds:
        raise InputError(
            f"{name} must be a tensor or an array of {what}, got {type(value).__name__} of "
            f"{array.dtype}"
        )
    return torch.as_tensor(array.astype(np.int64) if "i" in kinds else array)


def _class_labels(classes: int | Iterable[int]) -> list[int]:
    several = classes if isinstance(classes, Iterable) else (classes,)
    try:
        return [operator.index(c) for c in several]
    except TypeError:
        raise InputError(
            f"classes must be a label such as 8, several such as (0, 8), or None, got {classes!r}"
        ) from None
