"""Extremes from a basis of bounded size: Lanczos with thick restarts."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError
from spectra.krylov.basis import Basis
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.probes import draw_probe
from spectra.krylov.stopping.ends_of_run import STEPS_AT_ZERO, enough_steps
from spectra.krylov.tolerance import Tolerance, negligible
from spectra.krylov.tridiagonal import FloatArray, Projection
from spectra.operators.interface import SymmetricOperator
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator


@dataclass(frozen=True)
class RestartedEnds:
    """Both ends, not yet checked by products.

    Attributes:
        vectors: of the k lowest Ritz pairs, rising, and of the k highest, falling, each (P,),
            float64, of length 1; fewer where there are fewer.
        converged: whether each of the lowest, and of the highest, met the tolerance, shape (2, k).
        steps: products in all, those of the run that was carried on included.
        restarts: how often the basis was cut back.
    """

    vectors: tuple[list[Tensor], list[Tensor]]
    converged: npt.NDArray[np.bool_]
    steps: int
    restarts: int


class ThickRestart:
    """A Lanczos run whose basis is cut back to its ends whenever it is full.

    Kept are the lowest and the highest Ritz vectors and the newest vector; the recurrence goes on
    from there as if nothing had been dropped but the middle of the spectrum, with an arrowhead in
    T. Where the space closes, its ends are set aside and a new direction is begun, k times at most.

    Args:
        run: what to carry on; its vectors are taken over.
        block: step at which the run's current block began, what is before it being closed.
        max_basis: vectors held at most.
        keep: Ritz vectors that a restart keeps, both ends together.
        k: pairs wanted at each end.
        directions: how many new ones the run has begun.
    """

    def __init__(
        self,
        run: Lanczos,
        block: int,
        *,
        max_basis: int,
        keep: int,
        k: int = 1,
        directions: int = 0,
    ) -> None:
        t = run.tridiagonal()
        m = len(t)
        matrix = t.matrix()
        coupling = np.zeros(m)
        coupling[-1] = t.residual_beta
        self.op: SymmetricOperator = run.op
        self.max_basis, self.keep, self.k, self.steps = max_basis, keep, k, m
        self.directions = directions
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
        w = self.op.matvec(basis.last()).to(torch.float64, copy=True)
        alpha = w @ basis.last().double()
        w = basis.orthogonalise(basis.orthogonalise(w))
        alpha_beta: list[float] = torch.stack([alpha, w.norm()]).tolist()
        if not np.isfinite(alpha_beta[0]):
            raise NonFiniteError(
                f"the product of Lanczos step {self.steps + 1} held NaN or infinity"
            )
        self.steps += 1
        grown = self.current.extended(*alpha_beta)
        eps = torch.finfo(self.op.dtype).eps
        nothing_left = negligible(alpha_beta[1], grown.scale(), self.op.size, eps)
        if nothing_left or len(basis) == self.op.size:
            self.current = self.current.extended(alpha_beta[0], 0.0)
            self.closed = True
            return
        self.current = grown
        q = basis.orthogonalise(w.div_(alpha_beta[1]))
        basis.append(q.div_(q.norm()))

    def cut_back(self, *, ends: tuple[bool, bool] = (False, False)) -> None:
        """Keep the ends of the current block and the newest vector.

        Args:
            ends: which ends have converged; for those, k + 1 vectors are enough.
        """
        m = len(self.current)
        keep = min(self.keep, m)
        low = keep - keep // 2
        if ends[0] != ends[1]:
            enough = self.k + 1
            low = min(enough, low) if ends[0] else max(low, keep - enough)
        kept = [*range(low), *range(m - keep + low, m)]
        self._combine(self.current.eigen[1][:, kept], newest=not self.closed)
        self.current = self.current.cut_back(kept)
        self.restarts += 1

    def begin_new_block(self) -> bool:
        """Leave a closed space for a new direction; return False where k have been begun before."""
        exhausted = len(self.basis) >= self.op.size
        if not self.closed or self.directions >= self.k or exhausted:
            return False
        first, self.current = self.current, Projection(np.zeros((0, 0)), np.zeros(0))
        self._lock(first)
        q = new_direction(self.op, self.directions).to(self.op.device)
        for _ in range(3):
            q = self.basis.orthogonalise(q / q.norm())
        self.basis.append(q / q.norm())
        self.directions += 1
        self.closed = False
        return True

    def converged(self, tolerance: Tolerance) -> npt.NDArray[np.bool_]:
        """Say which ends of the current block meet ``tolerance``, (2, k); those before have closed.

        A value that counts as zero does so after :data:`STEPS_AT_ZERO` steps.
        """
        largest = float(np.abs(self.locked).max(initial=0.0))
        values, residuals = self.current.eigen[0], self.current.residual_bounds()
        met = tolerance.met_at_ends(values, residuals, self.k, closed=self.closed, largest=largest)
        if self.steps < STEPS_AT_ZERO and not (self.closed or self.directions):
            for end, ordered in enumerate((values, values[::-1])):
                at_zero = np.abs(ordered[: self.k]) <= tolerance.floor * np.abs(values).max()
                met[end, : len(at_zero)] &= ~at_zero
        return met

    def gone_on(self, met_at: list[float]) -> npt.NDArray[np.bool_]:
        """Say of which ends it is known, by steps since, that none further out was missed, (2,).

        Args:
            met_at: the step since which each end has met its tolerance.
        """
        known = self.closed or self.directions > 0
        return np.array([known or self.steps >= enough_steps(at) for at in met_at])

    def vectors(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the vectors of the lowest values found, rising, and of the highest, falling."""
        values, coefficients = self.current.eigen
        shift = len(self.locked)
        padded = np.zeros((shift + len(values), shift + len(values)))
        padded[:shift, :shift] = np.eye(shift)
        padded[shift:, shift:] = coefficients
        every = np.concatenate([self.locked, values])
        low, high = (
            [self.basis.combine(padded[:, i]) for i in np.argsort(rising, kind="stable")[: self.k]]
            for rising in (every, -every)
        )
        return [y.div_(y.norm()) for y in low], [y.div_(y.norm()) for y in high]

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
        """Set aside the ends of the closed block ``first`` and of those before; forget the rest."""
        values, vectors = first.eigen
        shift, closed = len(self.locked), len(self.locked) + len(first)
        every = np.concatenate([self.locked, values])
        order = np.argsort(every, kind="stable").tolist()
        kept = sorted({*order[: self.k], *order[-self.k :]})
        whole = np.eye(closed)
        whole[shift:, shift:] = vectors
        rest = len(self.basis) - closed
        full = np.zeros((len(self.basis), len(kept) + rest))
        full[:closed, : len(kept)] = whole[:, kept]
        full[closed:, len(kept) :] = np.eye(rest)
        self.basis.replace(full)
        self.locked = every[kept]


def thick_restart(
    run: Lanczos,
    *,
    k: int = 1,
    block: int = 0,
    directions: int = 0,
    max_basis: int,
    keep: int | None = None,
    tolerance: Tolerance,
    max_steps: int,
    on_progress: Progress | None = None,
) -> RestartedEnds:
    """Carry ``run`` on until both ends converge, holding at most ``max_basis`` vectors.

    Cost: at most ``max_steps`` products in all, more than without restarts; a run on a basis of 12
    has taken up to three times as many.

    Args:
        run: a run that has made a step; its vectors are taken over, its T stays.
        k: pairs wanted at each end.
        block: step at which the run's current block began.
        directions: how many new ones the run has begun.
        max_basis: vectors held at most, at least 4 k + 2.
        keep: Ritz vectors that a restart keeps; None: half of ``max_basis``, or 2 k + 2 less.
        tolerance: residual at which a pair counts as converged.
        max_steps: limit on all steps, those of ``run`` included.
        on_progress: called after each step with ("", steps done, limit).

    Returns:
        Vectors, and whether each of them has converged.

    Raises:
        InputError: max_basis or keep is out of range.
        NonFiniteError: a product held NaN or infinity.

    Source: Wu & Simon 2000. Departure: both ends are kept, and once one has converged, more of
    the other.
    """
    most = max_basis - 2 * k - 2
    keep = min(max_basis // 2, most) if keep is None else keep
    check_max_basis(max_basis, k)
    if not 2 * k <= keep <= most:
        raise InputError(f"keep must lie in {2 * k}..{most}, got {keep}")
    thick = ThickRestart(run, block, max_basis=max_basis, keep=keep, k=k, directions=directions)
    met_at: list[float] = [math.inf, math.inf]
    while thick.steps < max_steps:
        if thick.closed:
            if not thick.begin_new_block():
                break
        else:
            met = thick.converged(tolerance)
            met_at = [
                min(at, thick.steps) if end.all() else math.inf
                for at, end in zip(met_at, met, strict=True)
            ]
            if met.all() and thick.gone_on(met_at).all():
                break
            if len(thick.basis) >= max_basis:
                thick.cut_back(ends=(bool(met[0].all()), bool(met[1].all())))
        thick.step()
        if on_progress:
            on_progress("", thick.steps, max_steps)
    met = thick.converged(tolerance) & thick.gone_on(met_at)[:, None]
    return RestartedEnds(thick.vectors(), met, thick.steps, thick.restarts)


def check_max_basis(max_basis: int, k: int) -> None:
    """Raise InputError where so few vectors leave no room for new ones beside k at each end."""
    least = 4 * k + 2
    if max_basis < least:
        raise InputError(f"max_basis must be at least {least}, got {max_basis}")


def new_direction(op: SymmetricOperator, directions: int = 0) -> Tensor:
    """Return a fixed Gaussian vector; what it finds is checked, so that it need not vary.

    Args:
        op: whose size it has.
        directions: how many others were begun before.
    """
    names = ["Lanczos restart", *([directions] if directions else [])]
    return draw_probe(op.size, probe="normal", generator=make_generator(0, *names))
