"""The images of losses: which ones, read once and held in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.classes.each_loss import those_with_images
from spectra.classes.identity import images_digest
from spectra.classes.image_source import image_source
from spectra.classes.labels import Classes, labels_named, losses_of, parts_of
from spectra.errors import InputError, check_count
from spectra.objective.samples.input_tree import Samples, select
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator


@dataclass(frozen=True)
class ImageChoice:
    """The images of one loss.

    Attributes:
        index: positions among all images, rising, int64 (n,).
        weights: w_i for the mean over them, shape (n,), float64.
        share: Σ w over these classes divided by Σ w over all: what the loss contributes to the
            whole.
    """

    index: Tensor
    weights: Tensor
    share: float


def choose_images(
    labels: Tensor,
    classes: Sequence[int],
    weights: Tensor,
    *,
    per_class: int | None,
    seed: int,
    split: str = "train",
    where: str = "the data",
) -> ImageChoice:
    """Choose the images of ``classes``: all, or up to ``per_class`` of each, drawn at random.

    Where a class is cut, its images weigh more in turn, so that a mean over several classes stays
    an unbiased estimate of the mean over all their images.

    Args:
        labels: of all images, int64 (N,), on the CPU.
        classes: labels that are wanted.
        weights: w_c, shape (C,), float64.
        per_class: limit, or None.
        seed: of the draw; the draw of a class depends on nothing else.
        split: names the random stream of the draw.
        where: whose images these are, for the message.

    Raises:
        InputError: none of the classes has images, or the limit is not positive.
    """
    if per_class is not None:
        check_count("images_per_class", per_class)
    kept, kept_weights = [], []
    for c in classes:
        positions = torch.nonzero(labels == c)[:, 0]
        n = len(positions)
        if per_class is not None and n > per_class:
            generator = make_generator(seed, "images", split, c)
            draw = torch.randperm(n, generator=generator)[:per_class]
            positions = positions[draw.sort().values]
        kept.append(positions)
        kept_weights.append(weights[c].repeat(len(positions)) * (n / max(1, len(positions))))
    index = torch.cat(kept)
    if not len(index):
        named = f"class {classes[0]} has" if len(classes) == 1 else f"classes {classes} have"
        raise InputError(f"{named} no images in {where}")
    order = index.argsort()
    chosen = torch.cat(kept_weights)[order]
    total = float(weights[labels].sum())
    return ImageChoice(index[order], chosen, float(chosen.sum()) / total)


@dataclass(frozen=True)
class ChosenImages:
    """The images of several losses; one that is in two of them is held once.

    Attributes:
        images: held, (k, ...); lazy ones are held nowhere.
        labels: of those, int64 (k,).
        losses: label of each loss and its classes.
        choices: for each loss, positions among ``images`` and weights.
        class_counts: n_c of all the data.
        origin: what the data were.
        per_class: limit on the images of a class, or None.
    """

    images: Samples
    labels: Tensor
    losses: dict[str, tuple[int, ...]]
    choices: dict[str, ImageChoice]
    class_counts: tuple[int, ...]
    origin: str
    per_class: int | None

    def description(self) -> dict[str, str | int | None]:
        """Return plain values that recognise the images."""
        return {
            "source": self.origin,
            "images": len(self.images),
            "digest": images_digest(self.images, self.labels),
        }

    def of_loss(self, label: str) -> tuple[Samples, Tensor, Tensor]:
        """Return images (n, ...), labels (n,) and weights (n,) of one loss."""
        choice = self.choices[label]
        images = self.images
        if len(choice.index) != len(images):
            images = select(images, choice.index)
        return images, self.labels[choice.index], choice.weights


def choose_of_data(
    data: object,
    classes: Classes,
    *,
    per_class: int | None,
    seed: int,
    room: int,
    on_progress: Progress | None = None,
) -> ChosenImages:
    """Read the images of the losses that ``classes`` names.

    Cost: see :func:`spectra.classes.image_source.image_source`; what is read stays in memory.

    Args:
        data: see there.
        classes: see :func:`spectra.classes.labels.parts_of`; of ``all``, classes without images
            are left out, which a warning says.
        per_class: limit on the images of a class, drawn at random; None: every image.
        seed: of that draw, and of augmentations.
        room: bytes that images may take.
        on_progress: called with ("images", read, planned).

    Raises:
        InputError: data or classes are not as described, a class that is named has no images, or
            the images take more than ``room``.
    """
    parts = parts_of(classes)
    source = image_source(
        data, classes=labels_named(parts), room=room, seed=seed, on_progress=on_progress
    )
    if not len(source.labels):
        raise InputError("data hold no images")
    counts = source.class_counts()
    losses = losses_of(parts, num_classes=len(counts))
    if "all" in parts:
        losses = those_with_images(losses, counts)
    ones = torch.ones(len(counts), dtype=torch.float64)
    found = {
        label: choose_images(source.labels, of, ones, per_class=per_class, seed=seed)
        for label, of in losses.items()
    }
    index = torch.unique(torch.cat([choice.index for choice in found.values()]))
    choices = {
        label: ImageChoice(torch.searchsorted(index, c.index), c.weights, c.share)
        for label, c in found.items()
    }
    return ChosenImages(
        source.take(index), source.labels[index], losses, choices, counts, source.origin, per_class
    )
