"""A data set or a loader, read batch after batch in the order of the data set where it has one."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    default_collate,
)

from spectra.classes.caller import random_state_kept
from spectra.classes.labels import as_labels
from spectra.errors import InputError, first_line
from spectra.objective.samples.input_tree import InputTree, Samples, as_samples, equal
from spectra.objective.samples.trees import is_branch, map_leaves
from spectra.system.seeding import make_generator

logger = logging.getLogger(__name__)

# Samples and their labels.
Batch = tuple[Samples, Tensor]
# Under which names a dictionary holds labels; the first that is there is taken.
_LABELS = ("labels", "label", "targets", "target", "y")
# Ours: as many images are read twice, to see whether they are the same each time. Of images that
# are flipped at random, all of them look alike once in 256 times.
_COMPARED = 8
_BATCH = 64


@dataclass(frozen=True)
class Batches:
    """Images and labels to be read.

    Attributes:
        read: yields b samples and labels (b,) at positions, int64 (k,); None: of all.
        count: images in all; None where nobody says.
        labels: of all images, where they are known before any is read, int64 (N,).
        origin: what they are read from.
    """

    read: Callable[[Tensor | None], Iterator[Batch]]
    count: int | None
    labels: Tensor | None
    origin: str


def batches_of(data: Any, *, seed: int) -> Batches:
    """Return what reads ``data``; see :func:`spectra.classes.image_source.image_source`.

    Args:
        data: a data set or a loader.
        seed: of augmentations in the loader's workers.

    Raises:
        InputError: items or batches are not pairs of images and labels.
    """
    if isinstance(data, DataLoader):
        loader = data
    else:
        loader = DataLoader(data, batch_size=_BATCH, collate_fn=_collated)
    dataset = loader.dataset
    origin = type(dataset).__name__
    if not _has_order(loader):
        return Batches(lambda _: _as_they_come(loader), None, None, origin)

    def read(index: Tensor | None) -> Iterator[Batch]:
        yield from _pairs(_in_order(loader, index, seed))

    if not hasattr(dataset, "__len__"):
        raise InputError(f"{origin} must say how many items it has, by __len__")
    count = len(cast(Any, dataset))
    labels = _targets(dataset)
    if count:
        labels = _compared(read, labels, count, seed)
    return Batches(read, count, labels, origin)


def _has_order(loader: DataLoader[Any]) -> bool:
    """Say whether what the loader gives is its data set, in some order; say so if it is not."""
    if isinstance(loader.dataset, IterableDataset):
        return False
    if loader.batch_sampler is None or loader.batch_size is None:
        logger.warning("the loader makes its own batches: images are read once, as they come")
        return False
    sampler = loader.sampler
    if isinstance(sampler, SequentialSampler):
        return True
    count = len(cast(Any, loader.dataset))
    if (
        isinstance(sampler, RandomSampler)
        and not sampler.replacement
        and sampler.num_samples == count
    ):
        logger.info("the loader shuffles: images are read in the order of its data set")
        return True
    logger.warning(
        "the loader draws images by %s: they are read once, as they come", type(sampler).__name__
    )
    return False


def _in_order(loader: DataLoader[Any], index: Tensor | None, seed: int) -> DataLoader[Any]:
    """Return a loader of the same items at ``index``, in order, none left out."""
    dataset = loader.dataset if index is None else Subset(loader.dataset, index.tolist())
    workers: dict[str, Any] = {}
    # Workers cost more than they do for as few images as are compared.
    if loader.num_workers and (index is None or len(index) > _COMPARED):
        workers = {
            "num_workers": loader.num_workers,
            "multiprocessing_context": loader.multiprocessing_context,
            "worker_init_fn": loader.worker_init_fn,
            "timeout": loader.timeout,
        }
    return DataLoader(
        dataset,
        batch_size=loader.batch_size,
        collate_fn=_collated if loader.collate_fn is default_collate else loader.collate_fn,
        generator=make_generator(seed, "data"),
        **workers,
    )


def _as_they_come(loader: DataLoader[Any]) -> Iterator[Batch]:
    """Yield a loader's own batches; its generators are left as they were."""
    owners = (loader, loader.sampler, loader.batch_sampler)
    kept = [
        (generator, generator.get_state())
        for generator in (getattr(owner, "generator", None) for owner in owners)
        if isinstance(generator, torch.Generator)
    ]
    try:
        yield from _pairs(loader)
    finally:
        for generator, state in kept:
            generator.set_state(state)


def _pairs(loader: DataLoader[Any]) -> Iterator[Batch]:
    """Yield the batches of a loader as samples and labels.

    Raises:
        InputError: items make no batch, or one that is nothing of the kind.
    """
    try:
        yield from map(_pair, loader)
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"items must be (image, label), images as tensors or arrays of one shape (sequences "
            f"padded to one length): {first_line(error)}"
        ) from error


def _pair(batch: Any) -> Batch:
    """Return a batch as samples and labels on the CPU.

    Raises:
        InputError: it is nothing of the kind.
    """
    inputs, given = split_batch(batch)
    samples = as_samples(map_leaves(lambda x: x.detach().cpu() if _is_tensor(x) else x, inputs))
    labels = as_labels(given)
    if not isinstance(samples, InputTree) and not samples.ndim:
        raise InputError(f"a batch must be (images, labels), got {_described(batch)}")
    if len(samples) != len(labels):
        raise InputError(f"labels must be {len(samples)}, one an image, got {len(labels)}")
    return samples, labels


def split_batch(batch: Any) -> tuple[Any, Any]:
    """Return the inputs and the labels of a batch.

    Of a dictionary, labels are what is called so; of a tuple or list of more than two, the last,
    which is said.

    Raises:
        InputError: it is none of these.

    >>> split_batch({"input_ids": 1, "labels": 2})
    ({'input_ids': 1}, 2)
    """
    if isinstance(batch, Mapping):
        named = next((name for name in _LABELS if name in batch), None)
        if named is not None and len(batch) > 1:
            return {k: v for k, v in batch.items() if k != named}, batch[named]
    elif isinstance(batch, (tuple, list)) and len(batch) >= 2:
        if len(batch) == 2 and (_is_tensor(batch[0]) or is_branch(batch[0])):
            return batch[0], batch[1]
        if len(batch) > 2:
            _say_last(len(batch))
            return tuple(batch[:-1]), batch[-1]
    raise InputError(
        f"a batch must be (images, labels), or a dictionary with {_LABELS[0]}, got "
        f"{_described(batch)}"
    )


def _collated(items: Sequence[Any]) -> Any:
    """Return items as a batch, as torch does it, but lists of numbers as tensors."""
    return default_collate([_with_tensors(item) for item in items])


def _with_tensors(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {k: _with_tensors(v) for k, v in item.items() if v is not None}
    if isinstance(item, list) and item and not any(isinstance(x, (Tensor, str)) for x in item):
        try:
            return torch.as_tensor(item)
        except (TypeError, ValueError, RuntimeError):  # no numbers, or ragged
            return item
    return tuple(map(_with_tensors, item)) if type(item) is tuple else item


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


@functools.cache
def _say_last(count: int) -> None:
    logger.warning(
        "data have %d parts: the last are taken as labels, the others as inputs of the network",
        count,
    )


def _described(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"a dictionary of {', '.join(map(str, batch))}"
    if isinstance(batch, (tuple, list)):
        return f"{len(batch)} of {', '.join(type(part).__name__ for part in batch[:4])}"
    return type(batch).__name__


def _targets(dataset: Dataset[Any]) -> Tensor | None:
    """Return the labels that a data set says it has, as those of torchvision do, or None."""
    if isinstance(dataset, Subset):
        whole = _targets(dataset.dataset)
        return None if whole is None else whole[torch.tensor(list(dataset.indices)).long()]
    try:
        labels = as_labels(dataset.targets)  # type: ignore[attr-defined]
    except (AttributeError, InputError):
        return None
    return labels if len(labels) == len(cast(Any, dataset)) else None


def _compared(
    read: Callable[[Tensor | None], Iterator[Batch]], labels: Tensor | None, count: int, seed: int
) -> Tensor | None:
    """Read a few images twice: say whether they differ, and return ``labels`` if they are right."""
    few = torch.arange(min(_COMPARED, count))
    with random_state_kept(seed, "compared"):
        first, again = (list(read(few)) for _ in range(2))
    if any(not equal(a, b) for (a, _), (b, _) in zip(first, again, strict=True)):
        logger.warning(
            "the data set gives another image each time (augmentation): one draw of each is taken"
        )
    seen = torch.cat([of_images for _, of_images in first])
    return labels if labels is not None and torch.equal(labels[few], seen) else None
