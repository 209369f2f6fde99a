"""The last word on a pair of vectors: values and residuals over all images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectra.krylov.extremes import Eigenpair
from spectra.operators.hessian import HessianOperator


@dataclass(frozen=True)
class Judged:
    """What one pass over all images says of two vectors.

    Attributes:
        pairs: of the lower and the upper end.
        products: H y of each, shape (2, P), float64.
        scales: Σ_chunks ‖w_c H_c y‖ / Σ w of each: what rounding is measured against.
        proven: the pass was in float64.
    """

    pairs: tuple[Eigenpair, Eigenpair]
    products: Tensor
    scales: tuple[float, float]
    proven: bool


def judge(
    op: HessianOperator,
    vectors: Tensor,
    *,
    tol: float,
    floor: float,
    before: Judged | None = None,
) -> Judged:
    """Return Rayleigh quotients and residuals of two vectors.

    Cost: two products; one for each end that had not converged where there is a ``before``.

    Args:
        op: the Hessian, in the precision that the judgement is to have.
        vectors: shape (2, P): of the lower and the upper end; of any length but zero, on any
            device.
        tol: residual relative to |θ| at which an end counts as converged.
        floor: size, relative to the largest |θ|, under which an eigenvalue counts as zero.
        before: a judgement by ``op`` that stands for the ends that had converged.
    """
    ends = [i for i in (0, 1) if before is None or not before.pairs[i].converged]
    vectors = vectors.to(op.device)
    seen = (vectors / vectors.norm(dim=1, keepdim=True)).to(op.dtype).double()
    products, scales = op.scaled_products(seen[ends].to(op.dtype))
    of_ends = scales.tolist()
    if before is None:
        pairs = as_pairs(seen, products, tol=tol, floor=floor)
        return Judged(pairs, products, (of_ends[0], of_ends[1]), _proves(op))
    merged, sizes = before.products.clone(), list(before.scales)
    merged[ends] = products
    for i, size in zip(ends, of_ends, strict=True):
        sizes[i] = size
    stands = [i for i in (0, 1) if i not in ends]
    for i in stands:
        seen[i] = before.pairs[i].vector
    found = list(as_pairs(seen, merged, tol=tol, floor=floor))
    for i in stands:
        found[i] = replace(before.pairs[i], converged=found[i].converged)
    return Judged((found[0], found[1]), merged, (sizes[0], sizes[1]), _proves(op))


def _proves(op: HessianOperator) -> bool:
    return op.dtype == torch.float64


def as_pairs(
    vectors: Tensor, products: Tensor, *, tol: float, floor: float
) -> tuple[Eigenpair, Eigenpair]:
    """Return both ends from vectors (2, P) and their products, float64."""
    norms = (vectors * vectors).sum(1)
    values = (vectors * products).sum(1) / norms
    residuals = (products - values[:, None] * vectors).norm(dim=1) / norms.sqrt()
    sizes, rests = torch.stack([values, residuals]).tolist()  # one wait for a card
    allowed = allowed_residuals(sizes, tol=tol, floor=floor)
    low, high = (
        Eigenpair(value, y / y.norm(), rest, rest <= a)
        for value, y, rest, a in zip(sizes, vectors, rests, allowed, strict=True)
    )
    return low, high


def allowed_residuals(values: list[float], *, tol: float, floor: float) -> list[float]:
    """Return max(tol |θ|, floor max|θ|) for each value."""
    largest = max(abs(v) for v in values)
    return [max(tol * abs(v), floor * largest) for v in values]
