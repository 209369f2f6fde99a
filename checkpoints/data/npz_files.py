"""Images and labels in npz files, as users keep them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from checkpoints.data.dataset import Labelled, LabelledImages, LabelledInputs
from spectra.errors import InputError
from spectra.system.files.arrays import npz_arrays, npz_names
from spectra.system.files.limits import check_limit
from spectra.system.files.reading import opened

_EXPECTED = (
    "expected npz:TRAIN.npz[,TEST.npz] as numpy.savez(FILE, images=..., labels=...) writes it"
)
_BRIGHT = 20  # ours: no normalised image reaches it, and hardly any photograph stays below
Array = npt.NDArray[Any]


def read_npz(path: Path) -> tuple[Labelled, tuple[str, ...]]:
    """Read the arrays ``images`` and ``labels``.

    Images are 8-bit pixels, or floats that the network takes as they are, (n, channels, h, w) or
    (n, h, w, channels), or (n, h, w) of one channel. Labels are integers of any type.

    Returns:
        The images with their labels, and what was taken for what.

    Raises:
        InputError: there is no such file, it is damaged, or the arrays are something else.
    """
    images, labels = _arrays(path)
    images, notes = channels_first(images, str(path))
    numbers = as_classes(labels, len(images), str(path))
    return labelled(images, numbers, str(path)), notes + _about_pixels(images, str(path))


def _about_pixels(images: Array, origin: str) -> tuple[str, ...]:
    """Say where floats look like pixels that nothing has normalised."""
    if images.dtype.kind != "f" or images.min() < 0 or not _BRIGHT < images.max() <= 255:
        return ()
    return (
        f"{origin}: float images go from {images.min():g} to {images.max():g} and are taken as "
        "they are: where these are pixels that are still to be normalised, store them as uint8",
    )


def channels_first(images: Array, origin: str) -> tuple[Array, tuple[str, ...]]:
    """Return images as (n, channels, h, w), and what was taken for what where that was a choice.

    Raises:
        InputError: they have another shape or type, or there are none.
    """
    kind = images.dtype
    right = kind == np.uint8 or kind.kind == "f"
    notes: tuple[str, ...] = ()
    if right and images.ndim == 3:
        images = images[:, None]
        notes = (f"{origin}: images of shape {images[:, 0].shape} were taken for one channel",)
    elif right and images.ndim == 4 and _channels_are_last(images.shape):
        notes = (
            f"{origin}: images of shape {images.shape} were taken for (n, height, width, channels)",
        )
        images = images.transpose(0, 3, 1, 2)
    if not right or images.ndim != 4:
        raise InputError(
            f"{origin}: images must be uint8, or floats as the network takes them, of shape "
            f"(n, channels, h, w) or (n, h, w, channels), got {kind} of shape {images.shape}"
        )
    if not images.size:
        raise InputError(
            f"{origin}: at least one image of at least one pixel is needed, got shape "
            f"{images.shape}"
        )
    return images, notes


def as_classes(labels: Array, count: int, origin: str) -> npt.NDArray[np.int64]:
    """Return labels as int64 (n,).

    Raises:
        InputError: they are no integers, not one an image, or number no classes.
    """
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{origin}: labels must be integers of shape ({count},), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise InputError(f"{origin}: labels must number the classes from 0, got {labels.min()}")
    check_limit("classes", int(labels.max()) + 1, f"{origin}: the largest label, plus one")
    return labels.astype(np.int64)


def labelled(images: Array, labels: npt.NDArray[np.int64], origin: str) -> Labelled:
    """Return images (n, channels, h, w) with their labels, as tensors of their own.

    Raises:
        InputError: floats among them are NaN or infinite.
    """
    numbers = torch.from_numpy(np.ascontiguousarray(labels))
    if images.dtype == np.uint8:
        return LabelledImages(torch.from_numpy(np.ascontiguousarray(images)), numbers)
    if not np.isfinite(images).all():
        raise InputError(f"{origin}: images hold NaN or infinity")
    wide = np.float64 if images.dtype.itemsize > 4 else np.float32
    return LabelledInputs(torch.from_numpy(np.ascontiguousarray(images, dtype=wide)), numbers)


def _channels_are_last(shape: tuple[int, ...]) -> bool:
    """Say where the channels are: the fewer of the second and the last, in doubt the second."""
    return shape[1] not in (1, 3) and shape[3] < min(shape[1], shape[2])


def _arrays(path: Path) -> tuple[Array, Array]:
    try:
        with opened(path, "data_file") as file:
            lfs = file.read(32).startswith(b"version https://git-lfs")
        if not lfs:
            names = npz_names(path, "data_file")
            if not {"images", "labels"} <= set(names):
                raise InputError(
                    f"{path} must hold the arrays images and labels, it holds "
                    f"{', '.join(names[:10])[:200] or 'none'}"
                )
            images, labels = npz_arrays(path, ("images", "labels"), "data_file")
            return images, labels
    except InputError as error:
        raise InputError(f"{error}; {_EXPECTED}") from error
    raise InputError(
        f"{path} is a Git LFS pointer, which does not hold the images; fetch them with 'git lfs "
        "pull' in the repository it comes from"
    )
