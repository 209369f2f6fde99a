"""Which losses to analyze, and over which images."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import ANALYZED_LOSSES
from checkpoints.data import ImageData
from checkpoints.data.longtail import parse_class_list
from checkpoints.recipes.schedules import class_weights
from checkpoints.recipes.training_losses import training_loss
from spectra import CrossEntropy, PerSampleLoss, make_generator
from spectra.errors import InputError

# Published with LDAM's cosine head; what a stranger's cosine head is scaled by unless told.
COSINE_SCALE = 30.0


@dataclass(frozen=True)
class LossTerms:
    """A loss and the class weights that go with it.

    Attributes:
        loss: per-sample loss of the network's outputs.
        weights: w_c, shape (C,), float64.
    """

    loss: PerSampleLoss
    weights: Tensor


def parse_selection(
    text: str, groups: Mapping[str, tuple[int, ...]], *, num_classes: int
) -> dict[str, tuple[int, ...]]:
    """Read ``overall``, ``head``, ``mid``, ``tail``, ``all`` and labels, joined by commas.

    Returns:
        Label of each loss and the classes whose images it runs over, in the order asked for.

    Raises:
        InputError: a word or label is unknown.
    """
    chosen: dict[str, tuple[int, ...]] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        if part == "all":
            chosen |= {str(c): (c,) for c in range(num_classes)}
        elif part == "overall":
            chosen["overall"] = tuple(range(num_classes))
        elif part in groups:
            if not groups[part]:
                raise InputError(f"group {part} has no classes; set --groups")
            chosen[part] = groups[part]
        elif part[0].isdigit():
            chosen |= {str(c): (c,) for c in parse_class_list(part, num_classes=num_classes)}
        else:
            raise InputError(
                f"unknown class {part!r}; expected labels such as 0,9 or 0-3, all, overall, "
                f"{', '.join(groups)}"
            )
    if not chosen:
        raise InputError("no classes named; give --classes all, overall, head, tail or labels")
    return chosen


def loss_terms(checkpoint: Checkpoint, choice: str, class_counts: tuple[int, ...]) -> LossTerms:
    """Return the loss that ``choice`` means for a checkpoint.

    Args:
        checkpoint: whose recipe and head decide.
        choice: ``ce``: cross-entropy of the logits, scaled by s on a cosine head; ``train``: the
            loss it was trained with, class weights as in its last epoch; ``reference``:
            cross-entropy of the raw outputs, s left out, as the published Hessian script does.
        class_counts: n_c of the training images.

    Raises:
        InputError: the choice is unknown, or ``train`` without a known recipe.
    """
    ones = torch.ones(len(class_counts), dtype=torch.float64)
    recipe = checkpoint.recipe
    if choice == "reference":
        return LossTerms(CrossEntropy(), ones)
    if choice == "ce":
        scale = 1.0
        if checkpoint.architecture.head == "cosine":
            scale = recipe.logit_scale if recipe else COSINE_SCALE
        return LossTerms(CrossEntropy(scale), ones)
    if choice != "train":
        raise InputError(f"loss must be one of {', '.join(ANALYZED_LOSSES)}, got {choice!r}")
    if recipe is None:
        raise InputError(
            f"{checkpoint.name} does not say how it was trained, so --loss train is unknown; "
            "use --loss ce"
        )
    last_epoch = max(0, (checkpoint.epoch or recipe.epochs) - 1)
    counts = checkpoint.class_counts or class_counts
    return LossTerms(training_loss(recipe, counts), class_weights(recipe, counts, last_epoch))


@dataclass(frozen=True)
class ImageChoice:
    """The images of one loss.

    Attributes:
        index: positions in the split, rising, shape (n,).
        weights: w_i for the mean over them, shape (n,), float64.
        share: Σ w over these classes divided by Σ w over all: the factor of ``--reduction global``.
    """

    index: Tensor
    weights: Tensor
    share: float


def choose_images(
    data: ImageData,
    split: str,
    classes: tuple[int, ...],
    weights: Tensor,
    *,
    per_class: int | None,
    seed: int,
) -> ImageChoice:
    """Choose the images of ``classes``: all, or up to ``per_class`` of each, drawn at random.

    Where a class is cut, its images weigh more in turn, so that a mean over several classes stays
    an unbiased estimate of the mean over all their images.

    Args:
        data: the data.
        split: ``train`` or ``test``.
        classes: labels.
        weights: w_c, shape (C,).
        per_class: limit, or None.
        seed: of the draw; the draw of a class depends on nothing else.

    Raises:
        InputError: none of the classes has images, or the limit is not positive.
    """
    if per_class is not None and per_class < 1:
        raise InputError(f"images per class must be at least 1, got {per_class}")
    labels = data.split(split).labels
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
        raise InputError(f"{named} no images in the {split} split of {data.name}")
    order = index.argsort()
    chosen = torch.cat(kept_weights)[order]
    total = float(weights[labels].sum())
    return ImageChoice(index[order], chosen, float(chosen.sum()) / total)
