"""Probes of a Hessian operator as it is built; the error of one names the likely cause."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spectra.errors import NonFiniteError, OperatorError
from spectra.objective.frozen_loss import FrozenLoss
from spectra.operators.chunked import ChunkedOperator
from spectra.system.seeding import make_generator

logger = logging.getLogger(__name__)

# Relative to ‖H u‖ ‖v‖. Rounding in a product stays below 1e-5 in float32 and 1e-13 in float64 on
# the networks of the test suite; a real defect is of order 1.
SYMMETRY_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}
# Relative; a batch of another size may take another convolution algorithm.
SEPARABILITY_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}

# Length of a central difference in float64: rounding 1e-9, hardly ever a kink within reach.
STEP = 1e-7
CHECKED_IMAGES = 16
# Ours: names that a line holds.
_NAMED = 6


def check_losses(op: FrozenLoss) -> None:
    """Check that the first micro-chunk's losses are finite, fixed, and each its image's own.

    Parameters that the loss does not depend on have rows and columns of zeros, which a warning
    says.

    Cost: three forward passes over one micro-chunk.

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
    _check_separable(op, chunk, losses)


def check_products(op: ChunkedOperator) -> None:
    """Check that the first micro-chunk's Hessian is a finite, fixed and symmetric matrix.

    Cost: three products over one micro-chunk.

    Raises:
        NonFiniteError: a product is NaN or infinite.
        OperatorError: two products differ, or H is not symmetric.
    """
    chunk = next(op.chunks())
    generator = make_generator(0, "operator check")
    u, v = (torch.randn(op.size, generator=generator).to(op.device, op.dtype) for _ in range(2))
    hu, again, hv = (op.chunk_product(chunk, x) for x in (u, u, v))
    if not (torch.isfinite(hu).all() and torch.isfinite(hv).all()):
        raise NonFiniteError(
            "a Hessian-vector product holds NaN or infinity while the loss is finite: a second "
            "derivative is infinite somewhere (sqrt or norm at 0?)"
        )
    if not torch.allclose(hu, again, rtol=1e-5, atol=1e-7 * float(hu.abs().max())):
        raise OperatorError(
            "the same product gives two answers: backward is not deterministic (an operation "
            "with atomic sums?); try another device, or torch.use_deterministic_algorithms"
        )
    gap = abs(float(v.double() @ hu.double()) - float(u.double() @ hv.double()))
    bound = float(hu.norm() * v.norm() + hv.norm() * u.norm())
    if gap > SYMMETRY_TOLERANCE[op.dtype] * bound:
        raise OperatorError(
            f"uᵀHv and vᵀHu differ by {gap:.2e} where {bound:.2e} is their scale: a custom "
            "backward is wrong in second order, or a part of the graph is detached"
        )


@torch.enable_grad()
def _say_what_is_unreached(op: FrozenLoss, few: slice) -> None:
    """Warn where the losses of the first images do not depend on some parameters."""
    losses = op.chunk_losses(few)
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


def _check_separable(op: FrozenLoss, chunk: slice, losses: Tensor) -> None:
    """Check that an image's loss does not depend on the images beside it."""
    n = len(losses)
    if n < 2:
        return
    half = slice(chunk.start, chunk.start + n // 2)
    with torch.no_grad():
        alone = op.chunk_losses(half)
    scale = float(losses.abs().max()) + torch.finfo(op.dtype).tiny
    if float((alone - losses[: n // 2]).abs().max()) > SEPARABILITY_TOLERANCE[op.dtype] * scale:
        raise OperatorError(
            "an image's loss depends on the images beside it: batch norm without running "
            "averages (track_running_stats=False), or another operation across the batch; the "
            "class's loss is then not a mean over its images"
        )


def check_derivatives(op: ChunkedOperator) -> None:
    """Compare gradient and product with central differences in float64.

    ``op`` holds a few images in float64; its parameters are moved by h = 1e-7 in all and put back.
    A kink within reach of h spoils a comparison by chance, so only three failures in a row count.

    Raises:
        OperatorError: the gradient is not that of the loss, or the product not that of the
            gradient.
    """
    generator = make_generator(0, "derivative check")
    gradient = op.gradient()
    norm = float(gradient.norm())
    # A parameter that no gradient reaches (unused, or detached for good) is held still.
    reached = torch.cat([(g != 0).any().expand(g.numel()) for g in op.unflatten(gradient)])
    if not reached.any():
        return
    loss_fails, gradient_fails = True, True
    for _ in range(3):
        u = torch.randn(op.size, generator=generator, dtype=torch.float64).to(op.device)
        u = u * reached / (u * reached).norm()
        v = (gradient / norm + u) / 2**0.5
        (up, _), (down, _) = _moved(op, v, STEP), _moved(op, v, -STEP)
        slope, wanted = (up - down) / (2 * STEP), float(gradient @ v)
        loss_fails &= abs(slope - wanted) > 0.05 * (abs(slope) + abs(wanted)) + 1e-6 * abs(up)
        (_, up_g), (_, down_g) = _moved(op, u, STEP), _moved(op, u, -STEP)
        difference, product = (up_g - down_g) / (2 * STEP), op.matvec(u)
        size = float(difference.norm() + product.norm())
        gradient_fails &= float((difference - product).norm()) > 0.05 * size + 1e-6 * norm
        if not (loss_fails or gradient_fails):
            return
    if loss_fails:
        raise OperatorError(
            "the gradient is not the derivative of the loss: a custom backward is wrong, or a part "
            "of the graph is detached (straight-through, stop-gradient)"
        )
    if gradient_fails:
        raise OperatorError(
            "the Hessian-vector product is not the derivative of the gradient: a custom backward "
            "is wrong in second order or has none, or a part of it is detached"
        )


def _moved(op: FrozenLoss, direction: Tensor, step: float) -> tuple[float, Tensor]:
    """Return loss and gradient at w + step · direction."""
    with op.moved(step * direction):
        return op.loss(), op.gradient()
