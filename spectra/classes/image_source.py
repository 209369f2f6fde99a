"""Images and labels, from whatever a caller has: arrays, a data set or a loader of batches."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from spectra.classes.batches import Batches, batches_of, split_batch
from spectra.classes.caller import random_state_kept
from spectra.classes.labels import as_labels
from spectra.errors import InputError
from spectra.objective.images import LazyImages
from spectra.objective.samples.gathered import GatheredSamples
from spectra.objective.samples.input_tree import (
    InputTree,
    Samples,
    as_samples,
    samples_of,
    select,
)
from spectra.objective.samples.trees import is_branch
from spectra.system.progress import Progress

_EXPECTED = (
    "data must be (images, labels), a Dataset whose items are (image, label), or a DataLoader "
    "whose batches are (images, labels); or dictionaries with labels in place of such pairs"
)


@dataclass(frozen=True)
class ImageSource:
    """Labels that are known, and images that are fetched when they are asked for.

    Attributes:
        labels: of all images, int64 (N,), on the CPU, in the order of the data.
        take: returns the images at rising positions, int64 (k,), as (k, ...).
        origin: what the data were, for people and files.
    """

    labels: Tensor
    take: Callable[[Tensor], Samples]
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
        data: a pair of images (tensor, array, list or :class:`spectra.LazyImages`, (N, ...), or a
            dictionary or tuple of several such inputs) and labels (N,); a ``Dataset`` of (image,
            label), or a ``DataLoader``; or dictionaries of inputs and ``labels`` in their place.
        classes: whose images are going to be taken; None: of any.
        room: bytes that images may take in memory.
        seed: of augmentations.
        on_progress: called with ("images", read, planned) while a data set is read.

    Raises:
        InputError: the data are none of these, or take more than ``room``.
    """
    pair = _held_pair(data)
    if pair is not None:
        return _of_pair(*pair)
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

    def take(index: Tensor) -> Samples:
        if len(index) == len(images):
            return images
        return select(images, torch.searchsorted(positions, index))

    return ImageSource(labels, take, batches.origin)


def _held_pair(data: Any) -> tuple[Any, Any] | None:
    """Return images and labels where ``data`` hold all of them, else None."""
    if isinstance(data, TensorDataset) and len(data.tensors) > 1:
        return split_batch(data.tensors)
    if isinstance(data, Mapping) and any(_is_images(value) for value in data.values()):
        return split_batch(data)
    if isinstance(data, tuple) and len(data) > 2 and all(_is_images(part) for part in data):
        return split_batch(data)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        images, labels = data
        if _is_images(images) or isinstance(images, InputTree):
            return images, labels
        if is_branch(images) and not isinstance(labels, Mapping) and not _is_item(images):
            return samples_of(images, len(labels) if hasattr(labels, "__len__") else 0), labels
    return None


def _is_images(value: object) -> bool:
    return isinstance(value, (Tensor, np.ndarray, LazyImages))


def _is_item(value: Any) -> bool:
    """Say whether ``value`` is an image and its label, rather than a list of images."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and np.ndim(value[1]) == 0


def _has_items(data: object) -> bool:
    """Say whether ``data`` is a data set in all but name."""
    has = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return has and not _is_images(data) and not isinstance(data, (str, bytes, Mapping))


def _of_pair(images: Any, labels: object) -> ImageSource:
    """Return the source of images that are held; an array is read where it lies."""
    samples = images if isinstance(images, np.ndarray) else as_samples(images)
    if not isinstance(samples, InputTree) and (
        not samples.shape or getattr(samples.dtype, "kind", "f") not in "fiubc"
    ):
        raise InputError(
            f"images must be normalised floats (N, ...), got {samples.dtype} of shape "
            f"{tuple(samples.shape)}"
        )
    found = as_labels(labels)
    if len(found) != len(samples):
        raise InputError(f"labels must be {len(samples)}, one an image, got {len(found)}")
    origin = "lazy images" if isinstance(samples, LazyImages) else "arrays"

    def take(index: Tensor) -> Samples:
        if isinstance(samples, np.ndarray):
            return as_samples(samples[index.numpy()])
        return samples if len(index) == len(samples) else select(samples, index)

    return ImageSource(found, take, origin)


def _read(
    batches: Batches,
    index: Tensor | None,
    wanted: Tensor | None,
    room: int,
    seed: int,
    on_progress: Progress | None,
) -> tuple[Tensor, Samples, Tensor]:
    """Read images at ``index``, or all and keep those of ``wanted`` labels.

    Returns:
        The labels of all that was read; the images that were kept, and their positions among them.
    """
    count = batches.count if index is None else len(index)
    gathered = GatheredSamples(count if wanted is None else None, room)
    labels: list[Tensor] = []
    places: list[Tensor] = []
    done = 0
    with random_state_kept(seed, "data"):
        for images, of_images in batches.read(index):
            keep = torch.arange(len(of_images))
            if wanted is not None:
                keep = torch.nonzero(torch.isin(of_images, wanted))[:, 0]
            gathered.add(images, keep)
            labels.append(of_images)
            places.append(keep + done)
            done += len(of_images)
            if on_progress is not None:
                on_progress("images", done, count or done)
    samples = gathered.together()
    found = torch.cat(labels)
    if index is not None and batches.labels is not None:
        differ = found != batches.labels[index]
        if differ.any():
            at = int(torch.nonzero(differ)[0])
            raise InputError(
                f"targets of the data set say {int(batches.labels[index[at]])} of item "
                f"{int(index[at])}, the item says {int(found[at])}"
            )
    return found, samples, torch.cat(places)
