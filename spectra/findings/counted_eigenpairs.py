"""The k lowest and the k highest eigenpairs, each as often as its eigenvalue is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectra.errors import check_count
from spectra.krylov.defaults import FLOOR, MAX_STEPS, NUM_STEPS, TOLERANCE
from spectra.krylov.extremes import Extremes, extreme_eigenpairs
from spectra.krylov.rayleigh_quotients import Eigenpair, eigenpairs_of_products
from spectra.krylov.tolerance import Tolerance
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.interface import SymmetricOperator
from spectra.operators.matrices import check_operator
from spectra.system.progress import Progress, within
from spectra.system.seeding import make_generator

# Ours: a vector of which less than this is outside of those known is one of them again.
_NEW = 0.5
# Ours: each run finds a copy more of all that have one, so that 2 k runs are twice what may be.
_MOST_RUNS = 2
# Ours: vectors multiplied together, so that their memory is bounded.
_AT_ONCE = 4


@dataclass(frozen=True)
class CountedEigenvalue:
    """An eigenvalue near one end of a spectrum, as results hold it.

    Attributes:
        value: Rayleigh quotient, eigenvalue units.
        residual: ‖H y - value · y‖: some eigenvalue lies within it.
        converged: whether the residual is within the tolerance.
    """

    value: float
    residual: float
    converged: bool

    def scaled(self, factor: float) -> CountedEigenvalue:
        """Return that of factor · H; ``factor`` > 0."""
        return replace(self, value=self.value * factor, residual=self.residual * factor)


@dataclass(frozen=True)
class BothEnds:
    """The eigenvalues at both ends of a spectrum, copies counted.

    Attributes:
        lowest: from λmin upwards.
        highest: from λmax downwards, as many.
    """

    lowest: tuple[CountedEigenvalue, ...]
    highest: tuple[CountedEigenvalue, ...]

    @classmethod
    def of(cls, found: Extremes, *, factor: float = 1.0) -> BothEnds:
        """Return the values of pairs, times ``factor``, without their vectors."""
        low, high = (
            tuple(
                CountedEigenvalue(p.value, p.residual_norm, p.converged).scaled(factor)
                for p in pairs
            )
            for pairs in (found.lowest, found.highest)
        )
        return cls(low, high)


def counted_eigenpairs(
    op: SymmetricOperator,
    k: int,
    *,
    tol: float = TOLERANCE,
    floor: float = FLOOR,
    max_steps: int = MAX_STEPS,
    seed: int = 0,
    generator: torch.Generator | None = None,
    basis: str = "device",
    max_basis: int | None = None,
    proof: bool = True,
    on_progress: Progress | None = None,
) -> Extremes:
    """Find the k lowest and the k highest eigenpairs, one for each copy of a repeated eigenvalue.

    :func:`spectra.extreme_eigenpairs` sees no copies. So it is run again on what is orthogonal to
    the pairs that it has found, until nothing further out than the k known ones comes up at either
    end, within the tolerance. Then the pairs are those of H between all vectors found.

    Cost: twice that of :func:`spectra.extreme_eigenpairs` where no eigenvalue is repeated, and once
    more for each copy; with ``proof`` a float64 product for each vector. 2 k vectors of float64 for
    each run are held, and as many products at the end.

    Args:
        op: symmetric operator on R^P.
        k: pairs at each end, at least 1; where there are fewer than 2 k eigenvalues, ends overlap.
        tol: relative residual asked for.
        floor: size, relative to the largest |θ|, under which an eigenvalue counts as zero: whether
            there are more of those is not asked.
        max_steps: limit on the steps of each run.
        seed: of the start vectors; with ``op.label`` it names the stream.
        generator: of the start vectors, on the CPU, in place of ``seed``.
        basis: where vectors are kept, see :data:`spectra.krylov.defaults.STORAGES`.
        max_basis: vectors that a run may hold, at least 4 k + 2; None: one a step.
        proof: take values and residuals of a network's matrix from float64 products.
        on_progress: called with (``run 2``, steps done, limit).

    Returns:
        All pairs in ``lowest`` and ``highest``, with residuals. A pair has converged if its
        residual is within the tolerance and every run has converged at its end.

    Raises:
        InputError: ``op`` is no operator, or a number is out of range.
        NonFiniteError: a product held NaN or infinity.

    Source: deflation, Parlett, The Symmetric Eigenvalue Problem, section 5.1.

    Example:
        >>> twice = torch.diag(torch.tensor([-1.0, 0.0, 1.0, 2.0, 2.0], dtype=torch.float64))
        >>> found = spectra.counted_eigenpairs(spectra.DenseOperator(twice), 2)
        >>> [round(pair.value, 6) for pair in found.highest]
        [2.0, 2.0]
    """
    check_operator(op)
    check_count("k", k, op.size)
    tolerance, run = Tolerance(tol, floor), 1
    source = make_generator(seed, "counted", op.label) if generator is None else generator
    known = _Known(op, k)
    wanted, steps, restarts = k, 0, 0
    known_low, known_high = True, True
    while True:
        found = extreme_eigenpairs(
            known.left_over() if run > 1 else op,
            wanted,
            tol=tol,
            floor=floor,
            min_steps=min(NUM_STEPS, max_steps),
            max_steps=max_steps,
            generator=source,
            basis=basis,
            max_basis=max_basis,
            proof=False,
            on_progress=within(on_progress, f"run {run}"),
        )
        known_low &= all(pair.converged for pair in found.lowest)
        known_high &= all(pair.converged for pair in found.highest)
        steps, restarts, run = steps + found.steps, restarts + found.restarts, run + 1
        if not known.add(found.pairs, tolerance):
            break
        wanted = 1 if run == 2 else k  # the second run asks whether there are copies at all
        if len(known.values) >= op.size or run > _MOST_RUNS * k:
            break
    exact = op.in_float64() if proof and isinstance(op, ChunkedOperator) else op
    pairs = known.between(exact, tolerance)
    lowest = tuple(replace(p, converged=p.converged and known_low) for p in pairs[:k])
    highest = tuple(replace(p, converged=p.converged and known_high) for p in pairs[: -k - 1 : -1])
    proven = exact.dtype == torch.float64 and isinstance(op, ChunkedOperator)
    return Extremes(lowest, highest, steps, restarts=restarts, proven=proven)


class _Known:
    """Orthonormal vectors that runs have found, and the operator on what is orthogonal to them.

    Args:
        op: H.
        k: pairs wanted at each end.
    """

    def __init__(self, op: SymmetricOperator, k: int) -> None:
        self.op, self.k = op, k
        self.vectors = torch.empty(0, op.size, dtype=torch.float64, device=op.device)
        self.values: list[float] = []

    def add(self, pairs: Sequence[Eigenpair], tolerance: Tolerance) -> bool:
        """Take those that are new and among the k at an end; return whether there are any."""
        before = sorted(self.values)
        reach = tolerance.allowed(before).tolist() if before else [0.0]
        taken = False
        for pair in pairs:
            if len(before) >= 2 * self.k:
                low, high = before[self.k - 1], before[-self.k]
                inside = low - reach[self.k - 1] <= pair.value <= high + reach[-self.k]
                if inside:
                    continue
            rest = pair.vector - (self.vectors @ pair.vector) @ self.vectors
            size = float(rest.norm())
            if size < _NEW:
                continue
            rest = rest / size
            rest = rest - (self.vectors @ rest) @ self.vectors  # twice is enough
            self.vectors = torch.cat([self.vectors, (rest / rest.norm())[None]])
            self.values.append(pair.value)
            taken = True
        return taken

    def left_over(self) -> SymmetricOperator:
        """Return H without the vectors, which have an eigenvalue in the middle of the others."""
        ordered = sorted(self.values)
        k = min(self.k, len(ordered))
        return _WithoutVectors(self.op, self.vectors, (ordered[k - 1] + ordered[-k]) / 2)

    def between(self, exact: SymmetricOperator, tolerance: Tolerance) -> tuple[Eigenpair, ...]:
        """Return the eigenpairs of H between the vectors, rising, by products of ``exact``."""
        products = torch.empty_like(self.vectors)
        scales = torch.zeros(len(self.vectors), dtype=torch.float64, device=self.op.device)
        for at in range(0, len(self.vectors), _AT_ONCE):
            rows = slice(at, at + _AT_ONCE)
            asked = self.vectors[rows].to(exact.dtype)
            if isinstance(exact, ChunkedOperator):
                products[rows], scales[rows] = exact.scaled_products(asked)
            else:
                products[rows] = exact.matmat(asked).double()
        matrix = self.vectors @ products.T
        turn = torch.linalg.eigh((matrix + matrix.T) / 2)[1].T
        count = len(turn)
        if count > 2 * self.k:  # the rest is not at an end
            turn = torch.cat([turn[: self.k], turn[-self.k :]])
        sizes = (turn.abs() @ scales).tolist()
        return eigenpairs_of_products(turn @ self.vectors, turn @ products, tolerance, sizes)


class _WithoutVectors(SymmetricOperator):
    """(I - QᵀQ) H (I - QᵀQ) + c QᵀQ for orthonormal rows Q."""

    def __init__(self, op: SymmetricOperator, rows: Tensor, middle: float) -> None:
        self.op, self.rows, self.middle = op, rows.to(op.dtype), middle
        self.size, self.device, self.dtype, self.label = op.size, op.device, op.dtype, op.label
        self.parameter_slices = op.parameter_slices

    def matvec(self, v: Tensor) -> Tensor:
        """Return the product with ``v`` of shape (P,)."""
        self.check_vector(v)
        inside = self.rows @ v
        product = self.op.matvec(v - inside @ self.rows)
        product = product - (self.rows @ product) @ self.rows
        return product + self.middle * (inside @ self.rows)
