"""Are the losses finite, fixed, and each its image's own?"""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spectra.errors import NonFiniteError, OperatorError
from spectra.objective.frozen_loss import FrozenLoss
from spectra.objective.network.refusals import check_registered

logger = logging.getLogger(__name__)

# Relative; a batch of another size may take another convolution algorithm.
SEPARABILITY_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}

# Ours: names that a line holds.
_NAMED = 6


def check_losses(op: FrozenLoss) -> Tensor:
    """Return the first micro-chunk's losses, which are finite, fixed, and each its image's own.

    Parameters that the loss does not depend on have rows and columns of zeros, which a warning
    says.

    Cost: two forward passes and a half over one micro-chunk.

    Raises:
        NonFiniteError: a loss is NaN or infinite.
        OperatorError: two runs differ, or images influence each other.
    """
    chunk = next(op.chunks())
    with torch.no_grad():
        losses, again = (op.chunk_losses(chunk) for _ in range(2))
    _say_what_is_unreached(op, slice(chunk.start, min(chunk.start + 2, chunk.stop)))
    if not torch.isfinite(losses).all():
        bad = int((~torch.isfinite(losses)).sum())
        raise NonFiniteError(
            f"the loss of {bad} of the first {len(losses)} images is NaN or infinite; "
            "check the weights and the normalisation"
        )
    if not torch.allclose(losses, again, rtol=1e-5, atol=1e-7):
        raise OperatorError(
            "the loss changes from one evaluation to the next: the forward pass draws random "
            "numbers (dropout that ignores eval mode, stochastic depth, augmentation in the "
            "model?); a Hessian needs a fixed function"
        )
    _compare_with_half(op, chunk, losses)
    return losses


@torch.enable_grad()
def _say_what_is_unreached(op: FrozenLoss, few: slice) -> None:
    """Warn where the losses of the first images do not depend on some parameters."""
    losses = op.chunk_losses(few)
    check_registered(losses, op.model)
    if not losses.requires_grad:
        logger.warning(
            "the loss depends on no trainable parameter, so its Hessian is zero: are the "
            "outputs detached, or made under torch.no_grad or by another network?"
        )
        return
    gradients = torch.autograd.grad(losses.sum(), op.parameters, allow_unused=True)
    unreached = [n for n, g in zip(op.names, gradients, strict=True) if g is None]
    if unreached:
        logger.warning(
            "no gradient reaches %d of %d parameters, so their rows and columns of the Hessian are "
            "zero: %s",
            len(unreached),
            len(op.names),
            _listed(unreached),
        )


def say_what_is_frozen(model: nn.Module) -> None:
    """Warn where parameters have no ``requires_grad``: the Hessian is by the others alone."""
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    if frozen:
        logger.warning(
            "the Hessian is not by %d parameters that have requires_grad=False: %s",
            len(frozen),
            _listed(frozen),
        )


def _listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def check_separable(op: FrozenLoss, chunk: slice) -> None:
    """Check that an image's loss does not depend on the images beside it.

    In float64 a dependence of 1e-9 shows.

    Cost: two forward passes over ``chunk``.

    Raises:
        OperatorError: it does.
    """
    with torch.no_grad():
        _compare_with_half(op, chunk, op.chunk_losses(chunk))


@torch.no_grad()
def _compare_with_half(op: FrozenLoss, chunk: slice, losses: Tensor) -> None:
    """Check that the ``losses`` of a chunk are those of its first half without the other one."""
    if chunk.stop - chunk.start < 2:
        return
    half = slice(chunk.start, (chunk.start + chunk.stop) // 2)
    alone = op.chunk_losses(half)
    scale = losses.abs().max() + torch.finfo(op.dtype).tiny
    change = (alone - losses[: len(alone)]).abs().max()
    if change > SEPARABILITY_TOLERANCE[op.dtype] * scale:
        raise OperatorError(
            "an image's loss depends on the images beside it: batch norm without running "
            "averages (track_running_stats=False), or another operation across the batch; the "
            "class's loss is then not a mean over its images"
        )
