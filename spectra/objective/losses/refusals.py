"""What a loss is not taken of, and what is said of it."""

import logging

from torch import Tensor, nn

from spectra.errors import InputError, first_line
from spectra.objective.per_sample import PerSampleLoss

logger = logging.getLogger(__name__)


def check_shapes(outputs: Tensor, labels: Tensor, error: Exception) -> None:
    """Raise InputError if shapes or labels explain why a loss failed."""
    if outputs.ndim != 2 or len(outputs) != len(labels):
        raise InputError(
            f"the loss cannot take outputs of shape {tuple(outputs.shape)}; {len(labels)} images "
            f"should give ({len(labels)}, C), which forward= can see to: {first_line(error)}"
        ) from error
    if outputs.shape[1] > 1 and int(labels.max()) >= outputs.shape[1]:
        raise InputError(
            f"the loss cannot take labels up to {int(labels.max())}, the model has "
            f"{outputs.shape[1]} outputs: {first_line(error)}"
        ) from error


def check_logits(outputs: Tensor, labels: Tensor) -> None:
    """Raise InputError unless cross-entropy has one output a class."""
    if outputs.ndim == 1 or outputs.shape[1:] == (1,):
        raise InputError(
            f"the network has a single output, {tuple(outputs.shape)} for {len(outputs)} images, "
            "and cross-entropy needs one a class; give loss=, such as "
            "torch.nn.BCEWithLogitsLoss(reduction='none')"
        )
    if outputs.ndim > 2:
        raise InputError(
            f"the loss cannot take outputs of shape {tuple(outputs.shape)}; {len(outputs)} images "
            f"should give ({len(outputs)}, C), which forward= can see to; or give a loss= of them"
        )
    if int(labels.max()) >= outputs.shape[1]:
        raise InputError(
            f"the loss cannot take labels up to {int(labels.max())}, the model has "
            f"{outputs.shape[1]} outputs"
        )


def check_signs(loss: PerSampleLoss) -> None:
    """Raise InputError for a loss of torch whose labels are -1 and 1."""
    if isinstance(loss, (nn.SoftMarginLoss, nn.HingeEmbeddingLoss)):
        raise InputError(
            f"{type(loss).__name__} takes labels -1 and 1, and classes are 0 and 1; give loss=, "
            "such as lambda outputs, labels: F.soft_margin_loss(outputs, 2.0 * labels - 1, "
            "reduction='none')"
        )


def say_ignored(loss: PerSampleLoss, labels: Tensor) -> None:
    """Say of how many images a loss of torch ignores the label."""
    label = getattr(loss, "ignore_index", None)
    ignored = int((labels == label).sum()) if isinstance(label, int) else 0
    if ignored:
        logger.warning(
            "%d of %d images have label %d, which the loss ignores: they count in the mean with a "
            "loss of 0; leave them out for a mean over the others",
            ignored,
            len(labels),
            label,
        )
