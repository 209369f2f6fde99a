"""Are products and gradient, in the precision and the way in which they are made, right?"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.errors import NonFiniteError, OperatorError, UnderflowError
from spectra.operators.checks.derivatives import describe_kinks
from spectra.operators.checks.differences import INFINITE, Derivatives, block_norms, derivatives
from spectra.operators.checks.evidence import STEPS
from spectra.operators.checks.few_images import MOST_OFTEN, FewImages
from spectra.operators.checks.forward_pass import CastsLifted, kinks_that_move, lower_precision
from spectra.operators.chunked import ChunkedOperator

logger = logging.getLogger(__name__)

# Of a vector's part in the block of a parameter, and of the whole vector.
OF_BLOCK = {torch.float32: 2e-3, torch.float64: 1e-8}
OF_WHOLE = {torch.float32: 1e-4, torch.float64: 1e-10}
# Ours: the same operations in the same order give the same bytes; atomic sums, some ulp.
REPEATED = 1e-6
# Ours: a wrong formula keeps more than a hundredth of gradient and product; underflow does not.
_LEFT = 0.01


def check_products(few: FewImages, known: Derivatives | None) -> None:
    """Compare products and gradient as they are made with double backward in float64.

    Parameter by parameter, so that one that is small beside the others counts as they do. Where
    rounding puts an activation on the other side of its kink, one image spoils a comparison: a
    parameter is wrong where it is on all images.

    Cost: two products and a gradient over the first few images, where they agree; and the same in
    float64, if that is not known.

    Args:
        few: of the operator that is checked.
        known: what :func:`spectra.operators.checks.derivatives.check_derivatives`
            found.

    Raises:
        NonFiniteError: a product is NaN or infinite.
        OperatorError: two products differ, or one differs from that in float64.
        UnderflowError: gradient and product have underflowed.
    """
    gaps: list[_Gap] = []
    for attempt in range(MOST_OFTEN):
        exact = known if known and not attempt else derivatives(few.in_float64(attempt), attempt)
        own = few.as_made(attempt)
        gap = _gap(own, exact, own.dtype)
        if gap.is_large:
            double = few.in_float64(attempt)
            if casts := lower_precision(double):
                with CastsLifted():
                    gap = _gap(own, derivatives(double, attempt), torch.float32)
                logger.info("compared without the network's own casts: %s", sorted(casts))
        gaps.append(gap)
        everywhere = torch.stack([one.excess for one in gaps]).amin(0)
        if not (everywhere > 1).any():
            return
    dtype = str(own.dtype).removeprefix("torch.")
    finer = "" if own.dtype == torch.float64 else "; compute in float64 (dtype=torch.float64)"
    if _has_underflowed(own, exact):
        whose = f"class {own.label}" if own.label else "this loss"
        raise UnderflowError(
            f"the loss of {whose} is {exact.value:.2g}, and its gradient and Hessian are 0 in "
            f"{dtype}{finer}, --dtype float64 at the command line"
        )
    worst = int(everywhere.argmax())
    what, name = ("gradient", "product")[worst % 2], double.names[worst // 2]
    share = min(float(one.relative[worst]) for one in gaps)
    kinks = kinks_that_move(double, STEPS[0] * exact.vector)
    raise OperatorError(
        f"in {dtype} the {what} is {100 * share:.2g} % off what it "
        f"is in float64 in parameter {name}: "
        + (
            describe_kinks(kinks)
            if kinks
            else f"an operation loses its digits there, or its kernel is wrong{finer}"
        )
    )


def _has_underflowed(own: ChunkedOperator, exact: Derivatives) -> bool:
    """Say whether nothing is left of gradient and product, which in float64 are small, not 0."""
    product = own.matvec(exact.vector.to(own.dtype)).double()
    pairs = ((own.gradient().double(), exact.gradient), (product, exact.product))
    return all(float(e.norm()) > 0 and float(f.norm()) < _LEFT * float(e.norm()) for f, e in pairs)


@dataclass(frozen=True)
class _Gap:
    """How far gradient and product, in turn for each parameter, are from float64, shape (2 B,)."""

    excess: Tensor
    relative: Tensor

    @property
    def is_large(self) -> bool:
        return bool((self.excess > 1).any())


def _gap(own: ChunkedOperator, exact: Derivatives, precision: torch.dtype) -> _Gap:
    """Compare with ``exact`` what ``own`` makes, with the tolerance of a precision."""
    product, again = (own.matvec(exact.vector.to(own.dtype)) for _ in range(2))
    if not product.norm().isfinite():
        raise NonFiniteError(INFINITE)
    if float((again - product).norm()) > REPEATED * float(product.norm()):
        raise OperatorError(
            "the same product gives two answers: backward is not deterministic (an operation "
            "with atomic sums?); try another device, or torch.use_deterministic_algorithms"
        )
    found = [
        _compared(own, one.double(), other, precision)
        for one, other in ((own.gradient(), exact.gradient), (product, exact.product))
    ]
    return _Gap(*(torch.stack(parts, 1).flatten() for parts in zip(*found, strict=True)))


def _compared(
    op: ChunkedOperator, found: Tensor, expected: Tensor, precision: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return, by parameter, the difference in units of what is allowed, and of the part itself."""
    error, size = block_norms(op, found - expected), block_norms(op, expected)
    tiny = torch.finfo(torch.float64).tiny
    allowed = OF_BLOCK[precision] * size + OF_WHOLE[precision] * size.norm() + tiny
    return error / allowed, error / (size + tiny)
