"""The loss that is analyzed: cross-entropy, the published one, or that of the training."""

from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import ANALYZED_LOSSES
from checkpoints.recipes.schedules import class_weights
from checkpoints.recipes.training_losses import training_loss
from spectra import CrossEntropy, PerSampleLoss
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
