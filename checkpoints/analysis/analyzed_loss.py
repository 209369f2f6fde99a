"""The loss that is analyzed: cross-entropy, the published one, or what training minimised."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import ANALYZED_LOSSES, OBJECTIVE
from checkpoints.recipes.recipe import Recipe
from checkpoints.recipes.schedules import class_weights
from checkpoints.recipes.training_losses import training_loss
from spectra import CrossEntropy, PerSampleLoss
from spectra.errors import InputError

# Published with LDAM's cosine head; what a stranger's cosine head is scaled by unless told.
COSINE_SCALE = 30.0


@dataclass(frozen=True)
class LossTerms:
    """A loss and what goes with it.

    Attributes:
        loss: per-sample loss of the network's outputs.
        weights: w_c, shape (C,), float64.
        weight_decay: c, of the training objective; None of all other losses.
    """

    loss: PerSampleLoss
    weights: Tensor
    weight_decay: float | None = None


def loss_terms(
    checkpoint: Checkpoint,
    choice: str,
    class_counts: tuple[int, ...],
    weight_decay: float | None = None,
) -> LossTerms:
    """Return the loss that ``choice`` means for a checkpoint.

    Args:
        checkpoint: whose recipe and head decide.
        choice: ``ce``: cross-entropy of the logits, scaled by s on a cosine head; ``train``: the
            loss it was trained with, class weights as in its last epoch; ``reference``:
            cross-entropy of the raw outputs, s left out, as the published Hessian script does;
            ``objective``: what training minimised in its last epoch: the loss of ``train``, each
            image weighed as often as it was drawn, and weight decay; without a recipe,
            cross-entropy with equal weights.
        class_counts: n_c of the training images.
        weight_decay: of ``objective``, in place of the recipe's.

    Raises:
        InputError: the choice is unknown, or needs a recipe that is not known.
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
    if choice == OBJECTIVE and recipe is None:
        if weight_decay is None:
            raise InputError(
                f"{checkpoint.name} does not say how it was trained: give --weight-decay (0 where "
                "there was none), and --loss objective is cross-entropy with equal weights and that"
            )
        return replace(loss_terms(checkpoint, "ce", class_counts), weight_decay=weight_decay)
    if choice not in ("train", OBJECTIVE):
        raise InputError(f"loss must be one of {', '.join(ANALYZED_LOSSES)}, got {choice!r}")
    if recipe is None:
        raise InputError(
            f"{checkpoint.name} does not say how it was trained, so --loss train is unknown; "
            "use --loss ce"
        )
    last_epoch = max(0, (checkpoint.epoch or recipe.epochs) - 1)
    counts = checkpoint.class_counts or class_counts
    terms = LossTerms(training_loss(recipe, counts), class_weights(recipe, counts, last_epoch))
    if choice == "train":
        return terms
    decay = recipe.weight_decay if weight_decay is None else weight_decay
    return replace(terms, weights=terms.weights * _drawn(recipe, counts), weight_decay=decay)


def _drawn(recipe: Recipe, class_counts: tuple[int, ...]) -> Tensor:
    """Return how often an image of each class was drawn in an epoch, shape (C,), on average."""
    counts = torch.tensor(class_counts, dtype=torch.float64)
    if recipe.weighting != "resample":
        return torch.ones_like(counts)
    there = counts > 0
    return torch.where(there, counts.sum() / there.sum() / counts.clamp(min=1), 0.0)
