"""Extremes from a basis of bounded size: Lanczos with thick restarts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError
from spectra.krylov.basis import Basis
from spectra.krylov.lanczos import Lanczos, negligible
from spectra.krylov.slq import draw_probe
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.interface import SymmetricOperator
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator

# Below, there is hardly room for new vectors beside the ends that are kept.
MIN_BASIS = 6


@dataclass(frozen=True)
class Projection:
    """H Q = Q T + q cᵀ: a run's projected matrix and what couples it to the next vector.

    Attributes:
        matrix: T, shape (m, m).
        coupling: c, shape (m,); zero where the space is closed.
    """

    matrix: FloatArray
    coupling: FloatArray

    def __len__(self) -> int:
        return len(self.coupling)

    @cached_property
    def eigen(self) -> tuple[FloatArray, FloatArray]:
        """Ritz values, rising, and coefficients as columns."""
        if not len(self):
            return np.zeros(0), np.zeros((0, 0))
        values, vectors = np.linalg.eigh(self.matrix)
        return values, vectors

    def residual_bounds(self) -> FloatArray:
        """Return |cᵀs| for each Ritz pair, shape (m,): ‖H y - θ y‖ in exact arithmetic."""
        return np.abs(self.coupling @ self.eigen[1])

    def scale(self) -> float:
        """Return the size of the largest coefficients."""
        off = np.abs(self.matrix - np.diag(self.matrix.diagonal()))
        return float(np.abs(self.matrix.diagonal()).max() + off.max(initial=0.0))

    def extended(self, alpha: float, beta: float) -> "Projection":
        """Return the projection after one more step."""
        m = len(self)
        matrix = np.zeros((m + 1, m + 1))
        matrix[:m, :m], matrix[m, m] = self.matrix, alpha
        matrix[m, :m] = matrix[:m, m] = self.coupling
        coupling = np.zeros(m + 1)
        coupling[m] = beta
        return Projection(matrix, coupling)

    def cut_back(self, kept: list[int]) -> "Projection":
        """Return the projection on the Ritz vectors ``kept``: an arrowhead with the next step."""
        values, vectors = self.eigen
        return Projection(np.diag(values[kept]), self.coupling @ vectors[:, kept])


@dataclass(frozen=True)
class RestartedEnds:
    """Both ends, not yet checked by products.

    Attributes:
        vectors: of the lowest and the highest Ritz pair, (P,), float64, of length 1.
        converged: whether each met its tolerance.
        steps: products in all, those of the run that was carried on included.
        restarts: how often the basis was cut back.
    """

    vectors: tuple[Tensor, Tensor]
    converged: tuple[bool, bool]
    steps: int
    restarts: int


class ThickRestart:
    """A Lanczos run whose basis is cut back to its ends whenever it is full.

    Kept are the lowest and the highest Ritz vectors and the newest vector; the recurrence goes on
    from there as if nothing had been dropped but the middle of the spectrum, with an arrowhead in
    T. Where the space closes, its ends are set aside and a new direction is begun, once.

    Args:
        run: what to carry on; its vectors are taken over.
        block: step at which the run's current block began, the former one being closed.
        max_basis: vectors held at most.
        keep: Ritz vectors that a restart keeps, both ends together.
    """

    def __init__(self, run: Lanczos, block: int, *, max_basis: int, keep: int) -> None:
        t = run.tridiagonal()
        m = len(t)
        matrix = t.matrix()
        coupling = np.zeros(m)
        coupling[-1] = t.residual_beta
        self.op: SymmetricOperator = run.op
        self.max_basis, self.keep, self.steps = max_basis, keep, m
        self.basis: Basis = run.give_basis()
        self.closed, self.restarts = t.closed, 0
        self.locked: FloatArray = np.zeros(0)
        self.current = Projection(matrix, coupling)
        if block:
            first = Projection(matrix[:block, :block], np.zeros(block))
            self.current = Projection(matrix[block:, block:], coupling[block:])
            self._lock(first)

    def step(self) -> None:
        """Make one step; where the basis is full, cut it back before.

        Raises:
            NonFiniteError: the product held NaN or infinity.
        """
        if len(self.basis) >= self.max_basis:
            self.cut_back()
        basis = self.basis
        w = self.op.matvec(basis.last()).double()
        alpha = w @ basis.last().double()
        w = basis.orthogonalise(basis.orthogonalise(w))
        alpha_beta: list[float] = torch.stack([alpha, w.norm()]).tolist()
        if not np.isfinite(alpha_beta[0]):
            raise NonFiniteError(
                f"the product of Lanczos step {self.steps + 1} held NaN or infinity"
            )
        self.steps += 1
        grown = self.current.extended(*alpha_beta)
        if negligible(alpha_beta[1], grown.scale(), self.op) or len(basis) == self.op.size:
            self.current = self.current.extended(alpha_beta[0], 0.0)
            self.closed = True
            return
        self.current = grown
        q = basis.orthogonalise(w / alpha_beta[1])
        basis.append(q / q.norm())

    def cut_back(self, *, ends: tuple[bool, bool] = (False, False)) -> None:
        """Keep the ends of the current block and the newest vector.

        Args:
            ends: which ends have converged; for those, two vectors are enough.
        """
        m = len(self.current)
        keep = min(self.keep, m)
        low = keep - keep // 2
        if ends[0] != ends[1]:
            low = min(2, low) if ends[0] else max(low, keep - 2)
        kept = [*range(low), *range(m - keep + low, m)]
        self._combine(self.current.eigen[1][:, kept], newest=not self.closed)
        self.current = self.current.cut_back(kept)
        self.restarts += 1

    def begin_new_block(self) -> bool:
        """Leave a closed space for a new direction; return False where that was done before."""
        if not self.closed or len(self.locked) or len(self.current) >= self.op.size:
            return False
        first, self.current = self.current, Projection(np.zeros((0, 0)), np.zeros(0))
        self._lock(first)
        q = restart_vector(self.op).to(self.op.device)
        for _ in range(3):
            q = self.basis.orthogonalise(q / q.norm())
        self.basis.append(q / q.norm())
        self.closed = False
        return True

    def converged(self, tol: float, floor: float) -> tuple[bool, bool]:
        """Say whether both ends of the current block have converged; what is locked has closed."""
        values, residuals = self.current.eigen[0], self.current.residual_bounds()
        if not len(values):
            return False, False
        largest = max(np.abs(values).max(), np.abs(self.locked).max(initial=0.0))
        allowed = np.maximum(tol * np.abs(values), floor * largest)
        return bool(residuals[0] <= allowed[0]), bool(residuals[-1] <= allowed[-1])

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of the lowest and of the highest value found."""
        values, coefficients = self.current.eigen
        shift = len(self.locked)
        padded = np.zeros((shift + len(values), shift + len(values)))
        padded[:shift, :shift] = np.eye(shift)
        padded[shift:, shift:] = coefficients
        every = np.concatenate([self.locked, values])
        low, high = (self.basis.combine(padded[:, i(every)]) for i in (np.argmin, np.argmax))
        return low / low.norm(), high / high.norm()

    def _combine(self, coefficients: FloatArray, *, newest: bool) -> None:
        """Replace the current block's vectors; what is locked, and the newest, stay."""
        shift, (m, k) = len(self.locked), coefficients.shape
        full = np.zeros((shift + m + newest, shift + k + newest))
        full[:shift, :shift] = np.eye(shift)
        full[shift : shift + m, shift : shift + k] = coefficients
        if newest:
            full[-1, -1] = 1.0
        self.basis.replace(full)

    def _lock(self, first: Projection) -> None:
        """Set the ends of the closed block ``first`` aside, and forget its other vectors."""
        values, vectors = first.eigen
        kept = sorted({0, len(first) - 1})
        rest = len(self.basis) - len(first)
        full = np.zeros((len(self.basis), len(kept) + rest))
        full[: len(first), : len(kept)] = vectors[:, kept]
        full[len(first) :, len(kept) :] = np.eye(rest)
        self.basis.replace(full)
        self.locked = values[kept]


def restarted_extremes(
    run: Lanczos,
    *,
    block: int = 0,
    max_basis: int,
    keep: int | None = None,
    tol: float,
    floor: float,
    max_steps: int,
    on_progress: Progress | None = None,
) -> RestartedEnds:
    """Carry ``run`` on until both ends converge, holding at most ``max_basis`` vectors.

    Cost: at most ``max_steps`` products in all, more than without restarts; a run on a basis of 12
    has taken up to three times as many.

    Args:
        run: a run that has made a step; its vectors are taken over, its T stays.
        block: step at which the run's current block began.
        max_basis: vectors held at most, at least 6.
        keep: Ritz vectors that a restart keeps; None: half of ``max_basis``, or 4 less.
        tol: relative residual asked for.
        floor: size, relative to the largest |θ|, under which an eigenvalue counts as zero.
        max_steps: limit on all steps, those of ``run`` included.
        on_progress: called after each step with ("", steps done, limit).

    Returns:
        Vectors, and whether each end has converged.

    Raises:
        InputError: max_basis or keep is out of range.
        NonFiniteError: a product held NaN or infinity.

    Source: Wu & Simon 2000. Departure: both ends are kept, and once one has converged, more of
    the other.
    """
    keep = min(max_basis // 2, max_basis - 4) if keep is None else keep
    if max_basis < MIN_BASIS:
        raise InputError(f"max_basis must be at least {MIN_BASIS}, got {max_basis}")
    if not 2 <= keep <= max_basis - 4:
        raise InputError(f"keep must lie in 2..{max_basis - 4}, got {keep}")
    thick = ThickRestart(run, block, max_basis=max_basis, keep=keep)
    while thick.steps < max_steps:
        if thick.closed:
            if not thick.begin_new_block():
                break
        else:
            ends = thick.converged(tol, floor)
            if all(ends):
                break
            if len(thick.basis) >= max_basis:
                thick.cut_back(ends=ends)
        thick.step()
        if on_progress:
            on_progress("", thick.steps, max_steps)
    return RestartedEnds(thick.vectors(), thick.converged(tol, floor), thick.steps, thick.restarts)


def restart_vector(op: SymmetricOperator) -> Tensor:
    """Return a fixed Gaussian vector; what it finds is checked, so that it need not vary."""
    return draw_probe(op.size, probe="normal", generator=make_generator(0, "Lanczos restart"))
