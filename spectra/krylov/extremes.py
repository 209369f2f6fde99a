"""The smallest and largest eigenvalue, with vectors and residuals."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.krylov.defaults import FLOOR, MAX_STEPS, TOLERANCE
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.restart import MIN_BASIS, restart_vector, restarted_extremes
from spectra.krylov.slq import draw_probe
from spectra.operators.interface import SymmetricOperator
from spectra.system.progress import Progress

# Ours: beyond 50 steps.
_TEST_EVERY = 5


@dataclass(frozen=True)
class Eigenpair:
    """An extreme eigenpair, checked by one product made after the iteration.

    Attributes:
        value: Rayleigh quotient yᵀHy of a fresh product: λmin <= value <= λmax holds for it
            whatever the iteration did, up to rounding of that product.
        vector: y, shape (P,), float64, of length 1.
        residual_norm: ‖H y - value · y‖ of the same product: some eigenvalue lies within it.
        converged: whether the iteration met its tolerance.
    """

    value: float
    vector: Tensor
    residual_norm: float
    converged: bool

    def to(self, device: torch.device | str) -> "Eigenpair":
        """Return the same pair with its vector on ``device``."""
        return replace(self, vector=self.vector.to(device))


@dataclass(frozen=True)
class Extremes:
    """Both ends of a spectrum.

    Attributes:
        smallest: pair of λmin.
        largest: pair of λmax.
        steps: Lanczos steps done.
        start: ``cold`` (random) or ``warm`` (from a neighbouring checkpoint).
        images_used: by Lanczos: ``all``, or ``active``: a selection; values and residuals are over
            all images in either case.
        active_images: how many images Lanczos ran on; 0 where the operator has none.
        refinements: passes, beyond Lanczos and the last one, that corrections took.
        proven: values and residuals come from float64 products.
        restarts: how often the Lanczos basis was cut back for want of memory.
    """

    smallest: Eigenpair
    largest: Eigenpair
    steps: int
    start: str = "cold"
    images_used: str = "all"
    active_images: int = 0
    refinements: int = 0
    proven: bool = False
    restarts: int = 0

    def to(self, device: torch.device | str) -> Self:
        """Return the same ends with their vectors on ``device``, such as those of a file."""
        return replace(self, smallest=self.smallest.to(device), largest=self.largest.to(device))


def extreme_eigenpairs(
    op: SymmetricOperator,
    *,
    tol: float = TOLERANCE,
    floor: float = FLOOR,
    max_steps: int = MAX_STEPS,
    generator: torch.Generator | None = None,
    run: Lanczos | None = None,
    basis: str = "device",
    max_basis: int | None = None,
    on_progress: Progress | None = None,
) -> Extremes:
    """Find λmin and λmax by Lanczos, from a random start or by carrying on ``run``.

    Stops when |β s| <= max(tol |θ|, floor max|θ|) at both ends, or after ``max_steps``. Then one
    product with each Ritz vector gives the values that are returned. Where the Krylov space closes
    first, the run goes on once from a new direction.

    With ``max_basis``, a run that has as many vectors is cut back to its ends, time and again
    (:mod:`spectra.krylov.restart`), and ``run`` then has no vectors left. ``basis="none"`` needs
    no such bound.

    Cost: at most ``max_steps`` + 2 products; twice as many with ``basis="none"``, whose vectors
    take a second pass.

    Args:
        op: symmetric operator on R^P.
        tol: relative residual asked for.
        floor: size, relative to the largest |θ|, under which an eigenvalue counts as zero.
        max_steps: limit on all steps, those of ``run`` included.
        generator: source of the start vector; needed without ``run``.
        run: a Lanczos run on the same operator to carry on.
        basis: where a new run keeps its vectors, see :data:`spectra.krylov.defaults.STORAGES`.
        max_basis: vectors that may be held, at least 6; None: one a step.
        on_progress: called after each step with ("", steps done, limit).

    Returns:
        Values, vectors, residuals; not converging is told by ``converged``.

    Source: Parlett, The Symmetric Eigenvalue Problem, chapter 13.
    """
    if not (tol > 0 and floor >= 0 and max_steps >= 1):
        raise InputError(f"tol, floor, max_steps are out of range: {tol}, {floor}, {max_steps}")
    if run is None:
        if generator is None:
            raise InputError("a generator or a Lanczos run is needed; randomness is explicit")
        start = draw_probe(op.size, probe="normal", generator=generator)
        run = Lanczos(op, start, basis=basis, capacity=_capacity(max_basis, max_steps))
    if max_basis is not None and max_basis < MIN_BASIS:
        raise InputError(f"max_basis must be at least {MIN_BASIS}, got {max_basis}")
    limit = min(max_steps, op.size)
    # The vector that the last step leaves is none that a further step would need.
    bound = max_basis if max_basis and max_basis < limit and run.basis.complete else None
    block = 0
    if not len(run):
        run.step()
    tested = len(run) - 1
    # Asking whether a run is closed checks its last steps, and may cut it back.
    while len(run) < limit or (run.closed and len(run) < limit):
        if run.pending:
            pass
        elif run.closed:
            # A start vector may have missed an eigenvector; a Gaussian one does so with chance 0.
            closed_at = len(run)
            if block or not run.restart(restart_vector(op)):
                break
            block = closed_at
        elif _is_due(len(run), tested) and all(_converged(run, block, tol, floor)):
            break
        else:
            tested = len(run)
        if bound is not None and len(run.basis) >= bound:
            return _with_restarts(run, block, bound, tol, floor, max_steps, on_progress)
        run.step()
        if on_progress:
            on_progress("", len(run), limit)
    low, high = _converged(run, block, tol, floor)
    first, last = run.unit_ritz_vectors(run.tridiagonal().ritz_coefficients()[:, [0, -1]])
    return Extremes(
        smallest=_checked_pair(op, first, low),
        largest=_checked_pair(op, last, high),
        steps=len(run),
    )


def _capacity(max_basis: int | None, max_steps: int) -> int | None:
    return None if max_basis is None else min(max_basis, max_steps) + 1


def _with_restarts(
    run: Lanczos,
    block: int,
    max_basis: int,
    tol: float,
    floor: float,
    max_steps: int,
    on_progress: Progress | None,
) -> Extremes:
    found = restarted_extremes(
        run,
        block=block,
        max_basis=max_basis,
        tol=tol,
        floor=floor,
        max_steps=max_steps,
        on_progress=on_progress,
    )
    low, high = (
        _checked_pair(run.op, vector, converged)
        for vector, converged in zip(found.vectors, found.converged, strict=True)
    )
    return Extremes(low, high, found.steps, restarts=found.restarts)


def _is_due(steps: int, before: int) -> bool:
    """Say whether to test for convergence: an m x m eigenproblem, so less often as m grows.

    Args:
        steps: done.
        before: how many there were when this was last asked.
    """
    return steps <= 50 or steps // _TEST_EVERY > before // _TEST_EVERY


def _converged(run: Lanczos, block: int, tol: float, floor: float) -> tuple[bool, bool]:
    """Say whether both ends of the current block have converged; a former block has closed."""
    t = run.tridiagonal(since=block)
    values, residuals = t.ritz_values(), t.residual_bounds()
    largest = np.abs(run.tridiagonal().ritz_values() if block else values).max()
    allowed = np.maximum(tol * np.abs(values), floor * largest)
    return bool(residuals[0] <= allowed[0]), bool(residuals[-1] <= allowed[-1])


def _checked_pair(op: SymmetricOperator, vector: Tensor, converged: bool) -> Eigenpair:
    # Rounded to the operator's dtype first: value and residual are then those of one vector.
    y = vector.to(op.dtype)
    y64 = y.double()
    product = op.matvec(y).double()
    squared = y64 @ y64
    quotient = (y64 @ product) / squared
    found = torch.stack([squared, quotient, (product - quotient * y64).norm()])
    norm2, value, residual = found.tolist()  # one wait for a card
    return Eigenpair(value, y64 / norm2**0.5, residual / norm2**0.5, converged)
