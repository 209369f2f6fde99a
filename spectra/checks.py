"""Probes of a freshly built Hessian operator, each failing with the likely cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spectra.errors import NonFiniteError, OperatorError
from spectra.seeding import make_generator

if TYPE_CHECKING:
    from spectra.hessian import HessianOperator

# Relative to ‖H u‖ ‖v‖. Rounding in a product stays below 1e-5 in float32 and 1e-13 in float64 on
# the networks of the test suite; a real defect is of order 1.
SYMMETRY_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}
# Relative; a batch of another size may take another convolution algorithm.
SEPARABILITY_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}


def check_operator(op: HessianOperator) -> None:
    """Check that the first micro-chunk's Hessian is a finite, fixed and symmetric matrix.

    Cost: three products and one forward pass over one micro-chunk.

    Raises:
        NonFiniteError: a loss is NaN or infinite.
        OperatorError: two runs differ, images influence each other, or H is not symmetric.
    """
    chunk = next(op.chunks())
    with torch.no_grad():
        losses, again = op.chunk_losses(chunk), op.chunk_losses(chunk)
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
    generator = make_generator(0, "operator check")
    u, v = (torch.randn(op.size, generator=generator).to(op.device, op.dtype) for _ in range(2))
    hu, again, hv = (_product(op, chunk, x) for x in (u, u, v))
    if not torch.allclose(hu, again, rtol=1e-5, atol=1e-7 * float(hu.abs().max())):
        raise OperatorError(
            "the same product gives two answers: backward is not deterministic (an operation "
            "with atomic sums?); try another device, or torch.use_deterministic_algorithms"
        )
    if not (torch.isfinite(hu).all() and torch.isfinite(hv).all()):
        raise NonFiniteError(
            "a Hessian-vector product holds NaN or infinity while the loss is finite: a second "
            "derivative is infinite somewhere (sqrt or norm at 0?)"
        )
    gap = abs(float(v.double() @ hu) - float(u.double() @ hv))
    bound = float(hu.norm() * v.norm() + hv.norm() * u.norm())
    if gap > SYMMETRY_TOLERANCE[op.dtype] * bound:
        raise OperatorError(
            f"uᵀHv and vᵀHu differ by {gap:.2e} where {bound:.2e} is their scale: a custom "
            "backward is wrong in second order, or a part of the graph is detached"
        )


def _product(op: HessianOperator, chunk: slice, v: Tensor) -> Tensor:
    return op._chunk_product(chunk, op.unflatten(v))


def _check_separable(op: HessianOperator, chunk: slice, losses: Tensor) -> None:
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
