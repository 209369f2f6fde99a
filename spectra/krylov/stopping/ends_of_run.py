"""Whether the ends of a Lanczos run have converged.

A small residual says that an eigenvalue is near, not that none is further out: a run that is poor
in an extreme eigenvector stops at the next eigenvalue, or, where nearly all eigenvalues are 0, at
zero. So a residual within the tolerance counts only once one of two things holds: the run's start
bounds the spectrum from outside, close to what was found (:mod:`spectra.krylov.outer_bounds`); or
the run has gone on for half as many steps again without finding anything further out. At zero,
where a Ritz vector of the null space has no residual from the first steps on, going on means
:data:`STEPS_AT_ZERO` in all.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from spectra.krylov.lanczos import Lanczos
from spectra.krylov.outer_bounds import least_component, log_sum_of_squares
from spectra.krylov.tolerance import Tolerance, noise
from spectra.krylov.tridiagonal import Tridiagonal, WithoutCopies

# Ours: what may be missed, relative to the larger of |θ| and ten times the floor; with that of 1e-4
# this is 1e-3 of the largest |θ|, the tolerance of verdicts.
CLOSE, FLOORS = 0.03, 10.0
# Ours: probability that a bound which counts as evidence is wrong. Not that of bounds which are
# stated: .05 misled 1 of 1,800 ends of random small networks, and costs one or two steps less.
MISLED = 1e-3
# Ours: of two eigenvalues 2 % apart, the one that the start is poor in comes up late; half as many
# steps again, and ten, found it in all of 300 runs on random small networks.
GO_ON, AT_LEAST = 1.5, 10
# Ours: finds an isolated eigenvalue of -.003 λmax at P = 300,000 beside a bulk that begins at 0.
STEPS_AT_ZERO = 120
# Ours: beyond 50 steps.
_TEST_EVERY = 5


class EndsOfRun:
    """Whether both ends of a run have converged, asked as often as it may be worth while.

    Args:
        run: asked about.
        k: pairs at each end.
        tolerance: of their residuals.
        random_share: of the run's start, see :class:`spectra.krylov.stopping.start.Start`.

    Attributes:
        block: step at which the run's current block began; what is before it has closed.
    """

    def __init__(
        self, run: Lanczos, k: int, tolerance: Tolerance, *, random_share: float = 1.0
    ) -> None:
        self._run, self._k, self._tolerance = run, k, tolerance
        self._random_share = random_share
        self.block = 0
        self._asked_at = len(run) - 1

    def have_converged(self, run: Lanczos) -> bool:
        """Say whether they have: an m x m eigenproblem, so less often as m grows."""
        steps, before = len(run), self._asked_at
        if steps == self.block:
            return False
        self._asked_at = steps
        due = steps <= 50 or steps // _TEST_EVERY > before // _TEST_EVERY
        return due and bool(self.met().all())

    def met(self) -> npt.NDArray[np.bool_]:
        """Say which of the lowest and of the highest have converged, shape (2, k)."""
        run, k = self._run, self._k
        if self.block:
            # What closed before holds all that its start was not orthogonal to: copies are left.
            t = run.tridiagonal(since=self.block)
            largest = float(np.abs(run.tridiagonal().ritz_values()).max())
            return self._tolerance.met_at_ends(
                t.ritz_values(), t.residual_bounds(), k, closed=t.closed, largest=largest
            )
        share, size = self._random_share, run.op.size
        return met_with_evidence(counted_once(run), size, self._tolerance, k, random_share=share)


def counted_once(run: Lanczos) -> Tridiagonal:
    """Return T of a run; of one that nothing keeps orthogonal, with its Ritz pairs counted once."""
    t = run.tridiagonal()
    if run.storage != "none":
        return t
    scale = float(np.abs(t.alphas).max()) + float(t.betas.max(initial=0.0))
    rounding = noise(scale, run.op.size, torch.finfo(run.op.dtype).eps)
    return WithoutCopies(t.alphas, t.betas, t.residual_beta, t.closed, rounding)


def met_with_evidence(
    t: Tridiagonal, size: int, tolerance: Tolerance, k: int = 1, *, random_share: float = 1.0
) -> npt.NDArray[np.bool_]:
    """Say which ends have converged: by their residuals, and as far as is known, as outermost.

    Args:
        t: projection on the Krylov space of one start.
        size: P.
        tolerance: of residuals.
        k: pairs at each end.
        random_share: of the start.

    Returns:
        Shape (2, k): of the lowest, rising, and of the highest, falling.
    """
    met = tolerance.met_at_ends(t.ritz_values(), t.residual_bounds(), k, closed=t.closed)
    if t.closed or not met.any():
        return met
    values = t.ritz_values()
    largest = float(np.abs(values).max())
    earlier = _earlier(t, tolerance, k)
    for end in (0, 1):
        if not met[end].any():
            continue
        ordered = values[:: 1 if end == 0 else -1][:k]
        bounded = _nothing_further_out(t, size, end, tolerance.floor, random_share)
        at_zero = np.zeros(k, dtype=bool)
        at_zero[: len(ordered)] = np.abs(ordered) <= tolerance.floor * largest
        stayed = earlier[end] & ~at_zero if len(t) < STEPS_AT_ZERO else earlier[end] | at_zero
        met[end] &= stayed | bounded & (at_zero | (np.arange(k) == 0))
    return met


def enough_steps(met_at: float) -> float:
    """Return how many steps are enough where the tolerance has been met from ``met_at`` steps on.

    >>> enough_steps(20)
    40.0
    """
    return GO_ON * met_at + AT_LEAST


def _earlier(t: Tridiagonal, tolerance: Tolerance, k: int) -> npt.NDArray[np.bool_]:
    """Say which ends met their tolerance long ago and have not moved since, shape (2, k)."""
    steps = int((len(t) - AT_LEAST) / GO_ON)  # undoes enough_steps
    if steps < 1:
        return np.zeros((2, k), dtype=bool)
    before = t.leading(steps)
    met = tolerance.met_at_ends(before.ritz_values(), before.residual_bounds(), k)
    now, then = t.ritz_values(), before.ritz_values()
    count = min(k, len(now), len(then))
    for end, rising in ((0, 1), (1, -1)):
        new, old = now[::rising][:count], then[::rising][:count]
        sizes = np.maximum(np.abs(new), FLOORS * tolerance.floor * np.abs(now).max())
        met[end, :count] &= np.abs(new - old) <= CLOSE * sizes
    return met


def _nothing_further_out(
    t: Tridiagonal, size: int, end: int, floor: float, random_share: float
) -> bool:
    """Say whether the start bounds the lower (0) or upper (1) end closely, see :data:`CLOSE`.

    Rounding is left out: of a bound that is stated it is a part, and here a product's error is
    below what residuals are asked for.
    """
    if size < 3 or t.residual_beta == 0:
        return t.closed
    values = t.ritz_values()
    theta = float(values[0] if end == 0 else -values[-1])
    reach = CLOSE * max(abs(theta), FLOORS * floor * float(np.abs(values).max()))
    betas = np.append(t.betas, t.residual_beta)
    reached = log_sum_of_squares(t.alphas if end == 0 else -t.alphas, betas, theta - reach)
    return reached >= -math.log(least_component(size, 2 * MISLED, random_share))
