"""The images of one loss: those of its classes, or as many of each as are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.errors import InputError
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
    if per_class is not None and per_class < 1:
        raise InputError(f"images per class must be at least 1, got {per_class}")
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
