"""Rayleigh quotients and residuals of vectors over all images: what is known of an eigenpair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from spectra.krylov.tolerance import Tolerance
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.interface import SymmetricOperator
from spectra.operators.many_losses.exact_pass import ExactPass, exact_pass
from spectra.system.memory.pieces import pieces

# Ours: beyond so many bytes in all, what a pass holds of several vectors counts for more than the
# primal work that one pass for all of them saves.
_LARGE = 2**26
# Ours: what a float32 product is wrong by at most, relative to the largest |θ|: 1e-4 on deep ReLU
# nets, where a mask may flip, 1e-6 to 1e-5 elsewhere.
FLOAT32_ERROR = 1e-4


@dataclass(frozen=True)
class Eigenpair:
    """An extreme eigenpair, checked by one product made after the iteration.

    Attributes:
        value: Rayleigh quotient yᵀHy of a fresh product: λmin <= value <= λmax holds for it
            whatever the iteration did, up to rounding of that product.
        vector: y, shape (P,), float64, of length 1.
        residual_norm: ‖H y - value · y‖ of the same product: some eigenvalue lies within it.
        converged: whether the iteration met its tolerance.
        scale: what rounding of ``value`` is measured against, eigenvalue units: Σ_c ‖w_c H_c y‖ /
            Σ w over the chunks c of images, or the sizes of the terms of a second derivative; 0
            where that was not asked for.
        residual_rounding: by how much ``residual_norm`` may be wrong where it is from float32
            products beside a float64 value, eigenvalue units: an estimate.
    """

    value: float
    vector: Tensor = field(repr=False)
    residual_norm: float
    converged: bool
    scale: float = 0.0
    residual_rounding: float = 0.0

    def to(self, device: torch.device | str) -> Eigenpair:
        """Return the same pair with its vector on ``device``."""
        return replace(self, vector=self.vector.to(device))


@dataclass(frozen=True)
class RayleighQuotients:
    """What one pass over all images says of vectors.

    Attributes:
        pairs: value, residual and scale of each vector.
        products: H y of each, shape (k, P), float64.
        proven: the values are from a pass in float64.
        exact: what else that pass has given; None where it gave values alone.
    """

    pairs: tuple[Eigenpair, ...]
    products: Tensor
    proven: bool
    exact: ExactPass | None = None


def rayleigh_quotients(
    op: ChunkedOperator, vectors: Tensor, *, tolerance: Tolerance
) -> RayleighQuotients:
    """Return Rayleigh quotients and residuals of vectors over all images.

    Cost: a product for each.

    Args:
        op: the matrix, in the precision that they are to have.
        vectors: shape (k, P): of any length but zero, on any device.
        tolerance: residual at which a pair counts as converged.
    """
    vectors = vectors.to(op.device)
    seen = (vectors / vectors.norm(dim=1, keepdim=True)).to(op.dtype).double()
    del vectors  # of a large network they are as large as its weights
    products, scales = _few_at_once(op, seen.to(op.dtype))
    pairs = eigenpairs_of_products(seen, products, tolerance, scales.tolist())
    return RayleighQuotients(pairs, products, op.dtype == torch.float64)


def quotients_in_float64(
    op: ChunkedOperator, vectors: Sequence[Tensor], *, tolerance: Tolerance
) -> tuple[Eigenpair, ...]:
    """Return Rayleigh quotients and residuals of vectors of length 1, by a matrix in float64.

    Pairs of large vectors have these themselves: of them no copy is made, and one product a time.

    Cost: a product for each.

    Args:
        op: the matrix in float64.
        vectors: each (P,), float64, of length 1.
        tolerance: residual at which a pair counts as converged.
    """
    if sum(vector.nbytes for vector in vectors) <= _LARGE:
        return rayleigh_quotients(op, torch.stack(list(vectors)), tolerance=tolerance).pairs
    seen = []
    for vector in vectors:
        (product,), scales = op.scaled_products(vector[None])
        squared = vector @ vector
        value = float((vector @ product) / squared)
        for piece in pieces(op.size):
            product[piece] -= value * vector[piece]
        seen.append((value, float(product.norm() / squared.sqrt()), float(scales[0])))
        del product
    allowed = tolerance.allowed([value for value, _, _ in seen]).tolist()
    return tuple(
        Eigenpair(value, vector, rest, rest <= most, scale)
        for (value, rest, scale), vector, most in zip(seen, vectors, allowed, strict=True)
    )


def quotients_beside_products(
    op: ChunkedOperator, vectors: Tensor, products: Tensor, *, tolerance: Tolerance
) -> RayleighQuotients:
    """Return Rayleigh quotients by float64 second derivatives, and residuals of known products.

    A quotient needs no product: d²L(w + t y)/dt² is yᵀHy. What products by ``op`` are wrong by
    enters the residuals alone, which say how much that may be. Where quotient and product differ by
    more, both come from a float64 product.

    Cost: half a float64 product for each where ``op`` makes them by a tangent pass, else one.

    Args:
        op: the matrix, in the precision of ``products``.
        vectors: shape (k, P), float64.
        products: by ``op``, shape (k, P), float64.
        tolerance: residual at which a pair counts as converged.
    """
    exact = op.in_float64()
    lengths = vectors.norm(dim=1, keepdim=True)
    y, images = vectors / lengths, products / lengths
    given = exact_pass(exact, y)
    quotients, sizes = exact.second_derivatives(y) if given is None else (given.values, given.sizes)
    known = (y * images).sum(1)
    error = FLOAT32_ERROR * float(quotients.abs().max())
    if not bool(((quotients - known).abs() <= error).all()):
        return rayleigh_quotients(exact, y, tolerance=tolerance)
    residuals = (images - quotients[:, None] * y).norm(dim=1)
    values, rests, scales = torch.stack([quotients, residuals, sizes]).tolist()
    allowed = tolerance.allowed(values).tolist()
    uncertain = 0.0 if op.dtype == torch.float64 else error
    rows = zip(values, y, rests, allowed, scales, strict=True)
    pairs = tuple(
        Eigenpair(value, unit, rest, rest <= most, scale, uncertain)
        for value, unit, rest, most, scale in rows
    )
    return RayleighQuotients(pairs, images, proven=True, exact=given)


def _few_at_once(op: ChunkedOperator, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return :meth:`ChunkedOperator.scaled_products`, of large vectors one after the other."""
    if rows.nbytes <= _LARGE:
        return op.scaled_products(rows)
    products = torch.empty(rows.shape, dtype=torch.float64, device=rows.device)
    scales = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    for i in range(len(rows)):
        products[i], scales[i] = (found[0] for found in op.scaled_products(rows[i : i + 1]))
    return products, scales


def eigenpairs_of_products(
    vectors: Tensor, products: Tensor, tolerance: Tolerance, scales: Sequence[float] | None = None
) -> tuple[Eigenpair, ...]:
    """Return the pairs of vectors (k, P) whose products (k, P) are known, both float64."""
    norms = (vectors * vectors).sum(1)
    values = (vectors * products).sum(1) / norms
    residuals = (products - values[:, None] * vectors).norm(dim=1) / norms.sqrt()
    sizes, rests = torch.stack([values, residuals]).tolist()  # one wait for a card
    allowed = tolerance.allowed(sizes).tolist()
    rows = zip(sizes, vectors, rests, allowed, scales or [0.0] * len(vectors), strict=True)
    return tuple(
        Eigenpair(value, y / y.norm(), rest, rest <= most, scale)
        for value, y, rest, most, scale in rows
    )


def eigenpair_of_vector(op: SymmetricOperator, vector: Tensor, converged: bool) -> Eigenpair:
    """Return the Rayleigh quotient and the residual of one vector, by one product with it."""
    # Rounded to the operator's dtype first: value and residual are then those of one vector.
    y = vector.to(op.dtype)
    del vector  # of a large network each vector counts
    y64 = y.to(torch.float64, copy=True)
    product = op.matvec(y).to(torch.float64, copy=True)
    del y
    squared = y64 @ y64
    quotient = (y64 @ product) / squared
    found = torch.stack([squared, quotient, product.sub_(quotient * y64).norm()])
    del product
    norm2, value, residual = found.tolist()  # one wait for a card
    return Eigenpair(value, y64.div_(norm2**0.5), residual / norm2**0.5, converged)
