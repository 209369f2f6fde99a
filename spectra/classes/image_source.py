"""Images and labels, from whatever a caller has: arrays, a data set or a loader of batches."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from spectra.classes.batches import Batches, batches_of
from spectra.classes.caller import random_state_kept
from spectra.classes.labels import as_labels
from spectra.errors import InputError
from spectra.objective.images import LazyImages
from spectra.system.progress import Progress

_EXPECTED = (
    "data must be (images, labels), a Dataset whose items are (image, label), or a DataLoader "
    "whose batches are (images, labels)"
)
_GIB = 2**30


@dataclass(frozen=True)
class ImageSource:
    """Labels that are known, and images that are fetched when they are asked for.

    Attributes:
        labels: of all images, int64 (N,), on the CPU, in the order of the data.
        take: returns the images at rising positions, int64 (k,), as (k, ...).
        origin: what the data were, for people and files.
    """

    labels: Tensor
    take: Callable[[Tensor], Tensor | LazyImages]
    origin: str

    def class_counts(self) -> tuple[int, ...]:
        """Return n_c of the classes from 0 to the largest label."""
        return tuple(torch.bincount(self.labels).tolist())


def image_source(
    data: object,
    *,
    classes: Collection[int] | None = None,
    room: int,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> ImageSource:
    """Find the labels of ``data``, and how to get at its images.

    A data set or loader is read in the order of the data set where it has one, whatever its loader
    shuffles or leaves out at the end; one that draws its images by a sampler of its own is read
    once, as they come. Images that are drawn anew each time (augmentation) are read once, from a
    random state that ``seed`` alone decides. The random state of the process stays.

    Cost: where a data set says its labels (``targets``, as torchvision's do), the images that are
    taken, read once. Else a pass over all of it, which keeps the images of ``classes``.

    Args:
        data: a pair of images (tensor, array, list or
            :class:`spectra.LazyImages`, (N, ...)) and labels
            (N,), a ``Dataset`` of (image, label), or a ``DataLoader``.
        classes: whose images are going to be taken; None: of any.
        room: bytes that images may take in memory.
        seed: of augmentations.
        on_progress: called with ("images", read, planned) while a data set is read.

    Raises:
        InputError: the data are none of these, or take more than ``room``.
    """
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        return _of_pair(*data.tensors)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        if _is_images(data[0]):
            return _of_pair(*data)
        if isinstance(data[0], (tuple, list)) and not _is_item(data[0]):
            return _of_pair(_stacked(data[0]), data[1])
    if not isinstance(data, (Dataset, DataLoader)) and not _has_items(data):
        raise InputError(f"{_EXPECTED}; got {type(data).__name__}")
    batches = batches_of(data, seed=seed)
    if batches.labels is not None:
        return ImageSource(
            batches.labels,
            lambda index: _read(batches, index, None, room, seed, on_progress)[1],
            batches.origin,
        )
    wanted = None if classes is None else torch.tensor(sorted(classes))
    labels, images, positions = _read(batches, None, wanted, room, seed, on_progress)

    def take(index: Tensor) -> Tensor:
        return images if len(index) == len(images) else images[torch.searchsorted(positions, index)]

    return ImageSource(labels, take, batches.origin)


def _is_images(value: object) -> bool:
    return isinstance(value, (Tensor, np.ndarray, LazyImages))


def _is_item(value: Any) -> bool:
    """Say whether ``value`` is an image and its label, rather than a list of images."""
    return len(value) == 2 and np.ndim(value[1]) == 0


def _stacked(images: Any) -> Tensor | npt.NDArray[Any]:
    """Return a list of images as one tensor or array."""
    try:
        if images and isinstance(images[0], Tensor):
            return torch.stack(tuple(images))
        return np.asarray(images)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"images must be of one shape: {error}") from error


def _has_items(data: object) -> bool:
    """Say whether ``data`` is a data set in all but name."""
    has = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return has and not _is_images(data) and not isinstance(data, (str, bytes, dict))


def _of_pair(images: Any, labels: object) -> ImageSource:
    if not images.shape or (isinstance(images, np.ndarray) and images.dtype.kind not in "fiub"):
        raise InputError(
            f"images must be normalised floats (N, ...), got {images.dtype} of shape "
            f"{tuple(images.shape)}"
        )
    found = as_labels(labels)
    if len(found) != len(images):
        raise InputError(f"labels must be {len(images)}, one an image, got {len(found)}")
    origin = "lazy images" if isinstance(images, LazyImages) else "arrays"

    def take(index: Tensor) -> Tensor | LazyImages:
        if isinstance(images, np.ndarray):
            chosen = images[index.numpy()]
            return torch.from_numpy(chosen.astype(chosen.dtype.newbyteorder("="), copy=False))
        if isinstance(images, LazyImages):
            return images.select(index)
        return images if len(index) == len(images) else images[index.to(images.device)]

    return ImageSource(found, take, origin)


def _read(
    batches: Batches,
    index: Tensor | None,
    wanted: Tensor | None,
    room: int,
    seed: int,
    on_progress: Progress | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Read images at ``index``, or all and keep those of ``wanted`` labels.

    Returns:
        The labels of all that was read; the images that were kept, and their positions among them.
    """
    count = batches.count if index is None else len(index)
    known = count if wanted is None else None  # how many are kept
    labels: list[Tensor] = []
    pieces: list[Tensor] = []
    places: list[Tensor] = []
    done = taken = 0
    kept: Tensor | None = None
    shape: torch.Size | None = None
    with random_state_kept(seed, "data"):
        for images, of_images in batches.read(index):
            keep = torch.arange(len(of_images))
            if wanted is not None:
                keep = torch.nonzero(torch.isin(of_images, wanted))[:, 0]
            if kept is None and known is not None:
                _check_room(known, images[:1].nbytes, room)
                kept = torch.empty((known, *images.shape[1:]), dtype=images.dtype)
            if shape is not None and images.shape[1:] != shape:
                raise InputError(
                    f"images must be of one shape, got {tuple(shape)} and {tuple(images.shape[1:])}"
                )
            shape = images.shape[1:]
            chosen = images if len(keep) == len(images) else images[keep]
            if kept is not None:
                kept[done : done + len(images)] = chosen
            else:
                # One tensor is made of the pieces, which lie beside it for a moment.
                taken += len(keep)
                _check_room(2 * taken, images[:1].nbytes, room)
                pieces.append(chosen.clone())
            labels.append(of_images)
            places.append(keep + done)
            done += len(images)
            if on_progress is not None:
                on_progress("images", done, count or done)
    if not done:
        raise InputError("data hold no images")
    found = torch.cat(labels)
    if index is not None and batches.labels is not None:
        differ = found != batches.labels[index]
        if differ.any():
            at = int(torch.nonzero(differ)[0])
            raise InputError(
                f"targets of the data set say {int(batches.labels[index[at]])} of item "
                f"{int(index[at])}, the item says {int(found[at])}"
            )
    return found, kept if kept is not None else torch.cat(pieces), torch.cat(places)


def _check_room(count: int, each: int, room: int) -> None:
    if count * each > room:
        raise InputError(
            f"{count} images take {count * each / _GIB:.3g} GiB, {room / _GIB:.3g} GiB may be "
            "taken; choose fewer classes, set images_per_class, or give spectra.LazyImages"
        )
