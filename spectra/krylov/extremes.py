"""Extreme eigenvalues by Lanczos: values, vectors and residuals, k from each end."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from spectra.errors import check_count
from spectra.krylov.defaults import FLOOR, MAX_STEPS, NUM_STEPS, TOLERANCE
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.outer_bounds import OuterBounds
from spectra.krylov.probes import draw_probe
from spectra.krylov.rayleigh_quotients import Eigenpair, eigenpair_of_vector, quotients_in_float64
from spectra.krylov.stopping.ends_of_run import EndsOfRun, counted_once
from spectra.krylov.thick_restart import check_max_basis, new_direction, thick_restart
from spectra.krylov.tolerance import Tolerance
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.interface import SymmetricOperator
from spectra.operators.many_losses.exact_pass import ExactPass
from spectra.operators.matrices import check_operator
from spectra.system.progress import Progress, counted
from spectra.system.seeding import make_generator


@dataclass(frozen=True)
class Extremes:
    """Both ends of a spectrum.

    Attributes:
        lowest: pairs from λmin upwards.
        highest: pairs from λmax downwards, as many.
        steps: Lanczos steps done.
        start: ``cold`` (random) or ``warm`` (from a neighbouring checkpoint).
        images_used: by Lanczos: ``all``, or ``active``: a selection; values and residuals are over
            all images in either case.
        active_images: how many images Lanczos ran on; 0 where the operator has none.
        refinements: passes, beyond Lanczos and the last one, that corrections took.
        proven: values come from a float64 pass over all images; residuals too, but where a pair has
            a ``residual_rounding``.
        restarts: how often the Lanczos basis was cut back for want of memory.
        outer_bounds: what bounds the spectrum from outside; None where nothing does.
        missed: probability that an eigenvalue twice as far out as the lower end, and as the upper
            one, was missed by a cold check, see :mod:`spectra.active.cold_check`; None without one.
        exact: what a float64 pass has given beside the values; None where it gave nothing.
    """

    lowest: tuple[Eigenpair, ...]
    highest: tuple[Eigenpair, ...]
    steps: int
    start: str = "cold"
    images_used: str = "all"
    active_images: int = 0
    refinements: int = 0
    proven: bool = False
    restarts: int = 0
    outer_bounds: OuterBounds | None = None
    missed: tuple[float, float] | None = None
    exact: ExactPass | None = None

    @property
    def smallest(self) -> Eigenpair:
        """The pair of λmin."""
        return self.lowest[0]

    @property
    def largest(self) -> Eigenpair:
        """The pair of λmax."""
        return self.highest[0]

    @property
    def pairs(self) -> tuple[Eigenpair, ...]:
        """All pairs: the lowest, then the highest."""
        return (*self.lowest, *self.highest)

    @property
    def converged(self) -> bool:
        """Whether every pair met its tolerance."""
        return all(pair.converged for pair in self.pairs)

    def with_pairs(self, pairs: tuple[Eigenpair, ...]) -> Self:
        """Return the same ends with other ``pairs``, in the order of :attr:`pairs`."""
        count = len(self.lowest)
        return replace(self, lowest=pairs[:count], highest=pairs[count:])

    def to(self, device: torch.device | str) -> Self:
        """Return the same ends with their vectors on ``device``, such as those of a file."""
        return self.with_pairs(tuple(pair.to(device) for pair in self.pairs))


def extreme_eigenpairs(
    op: SymmetricOperator,
    k: int = 1,
    *,
    tol: float = TOLERANCE,
    floor: float = FLOOR,
    min_steps: int = NUM_STEPS,
    max_steps: int = MAX_STEPS,
    seed: int = 0,
    generator: torch.Generator | None = None,
    basis: str = "device",
    max_basis: int | None = None,
    proof: bool = True,
    on_progress: Progress | None = None,
) -> Extremes:
    """Find the k smallest and the k largest eigenvalues of ``op`` by Lanczos.

    After ``min_steps``, stops when |β s| <= max(tol |θ|, floor max|θ|) for all 2 k pairs and there
    is evidence that none further out was missed (:mod:`spectra.krylov.stopping.ends_of_run`). Then
    products with the Ritz vectors give values and residuals, over all images of a Hessian in
    float64. With the defaults, these are to the last bit those of ``spectra analyze``, for the
    class that ``op.label`` names, where the operator takes one vector a pass.

    What Lanczos cannot see is multiplicity: from one start vector, an eigenvalue comes out once,
    however often it is repeated, and the next one follows. Copies appear only where the Krylov
    space closes, which is left for a new direction k times, or late, from rounding. Eigenvalues
    closer than the residuals allow may come out as one, too. :func:`spectra.counted_eigenpairs`
    finds copies, at twice the cost.

    Cost: from ``min_steps`` to ``max_steps`` products, and two for each pair, one of them in
    float64; one vector a step. Twice the steps with ``basis="none"``, for a second pass.

    Args:
        op: symmetric operator on R^P.
        k: pairs at each end, 1 <= k <= P.
        tol: relative residual asked for.
        floor: size, relative to the largest |θ|, under which an eigenvalue counts as zero.
        min_steps: steps before convergence is asked about; 1: stop as soon as may be.
        max_steps: limit on the steps (ARPACK: ``ncv`` without restarts).
        seed: of the start vector; with ``op.label`` it names the stream.
        generator: of the start vector, on the CPU, in place of ``seed``.
        basis: where vectors are kept, see :data:`spectra.krylov.defaults.STORAGES`.
        max_basis: vectors that may be held, at least 4 k + 2, by thick restarts
            (:mod:`spectra.krylov.thick_restart`; ARPACK: ``ncv``); None: one a step.
        proof: take values and residuals of a network's matrix from float64 products.
        on_progress: called after each step with ("", steps done, limit).

    Returns:
        ``smallest`` and ``largest``, or all pairs in ``lowest`` and ``highest``, each with its
        residual; not converging is told by ``converged`` of a pair. There are fewer than k where
        there were fewer steps.

    Raises:
        InputError: ``op`` is no operator, or a number is out of range.
        NonFiniteError: a product held NaN or infinity.

    Source: Parlett, The Symmetric Eigenvalue Problem, chapter 13.

    Example:
        >>> matrix = torch.diag(torch.tensor([-3.0, 0.0, 1.0, 2.0, 8.0], dtype=torch.float64))
        >>> found = spectra.extreme_eigenpairs(spectra.DenseOperator(matrix), k=2)
        >>> [round(pair.value, 6) for pair in found.highest], found.smallest.converged
        ([8.0, 2.0], True)
    """
    tolerance = Tolerance(tol, floor)
    check_count("min_steps", min_steps)
    _check(op, k, max_steps, max_basis)
    if generator is None:
        generator = make_generator(seed, "probe", op.label, 0)
    start = draw_probe(op.size, probe="normal", generator=generator)
    capacity = None if max_basis is None else min(max_basis, max_steps) + 1
    run = Lanczos(op, start, basis=basis, capacity=capacity)
    limit = min(max_steps, op.size)
    first = min(min_steps, limit, limit if max_basis is None else max_basis - 1)
    run.run(first, on_step=counted(on_progress, limit))
    found = extremes_of_run(
        run,
        k=k,
        tolerance=tolerance,
        max_steps=max_steps,
        max_basis=max_basis,
        on_progress=on_progress,
    )
    return proven_extremes(op, found, tolerance) if proof else found


def extremes_of_run(
    run: Lanczos,
    *,
    k: int = 1,
    tolerance: Tolerance,
    max_steps: int = MAX_STEPS,
    max_basis: int | None = None,
    random_share: float = 1.0,
    on_progress: Progress | None = None,
) -> Extremes:
    """Carry ``run`` on until k pairs at each end have converged, and check each by a product.

    Where the Krylov space closes first, the run goes on from a new direction, k times at most.
    Where ``max_basis`` cuts a run back (:mod:`spectra.krylov.thick_restart`), it has no vectors
    left; one with basis ``none`` needs no such bound.

    Cost: that of :func:`extreme_eigenpairs`, without the steps that ``run`` has made.

    Args:
        run: a Lanczos run, of any length.
        k: pairs at each end.
        tolerance: residual at which a pair counts as converged.
        max_steps: limit on all steps, those that ``run`` has made included.
        max_basis: vectors that may be held, at least 4 k + 2; None: one a step.
        random_share: of the run's start, see :class:`spectra.krylov.stopping.start.Start`.
        on_progress: called after each step with ("", steps done, limit).
    """
    op = run.op
    _check(op, k, max_steps, max_basis)
    limit = min(max_steps, op.size)
    room = limit
    # The vector that the last step leaves is none that a further step would need.
    if max_basis is not None and max_basis < limit and run.basis.complete:
        room = max_basis - 1
    ends = EndsOfRun(run, k, tolerance, random_share=random_share)
    directions = 0
    while not run.run_until(ends.have_converged, room, on_step=counted(on_progress, limit)):
        full = room < limit and len(run) >= room
        # Where steps are unread, a restart finds out by itself whether the space has closed.
        if not (full and run.pending) and run.closed:
            # A start vector may have missed an eigenvector; a Gaussian one does so with chance 0.
            closed_at = len(run)
            left = directions < k and closed_at < limit
            if not (left and run.begin_new_block(new_direction(op, directions))):
                break
            ends.block, directions = closed_at, directions + 1
        elif full and max_basis is not None:
            cut = thick_restart(
                run,
                k=k,
                block=ends.block,
                directions=directions,
                max_basis=max_basis,
                tolerance=tolerance,
                max_steps=max_steps,
                on_progress=on_progress,
            )
            both = zip(cut.vectors, cut.converged, strict=True)
            low, high = [_checked(op, vectors, met) for vectors, met in both]
            return _judged(Extremes(low, high, cut.steps, restarts=cut.restarts), tolerance)
        else:
            break
    t = counted_once(run)
    count = min(k, len(t.ritz_values()))
    columns = [*range(count), *range(-1, -count - 1, -1)]
    vectors, met = run.unit_ritz_vectors(t.ritz_coefficients()[:, columns]), ends.met()
    below, above = vectors[:count], vectors[count:]
    del vectors
    low, high = _checked(op, below, met[0]), _checked(op, above, met[1])
    return _judged(Extremes(low, high, len(run)), tolerance)


def proven_extremes(op: SymmetricOperator, found: Extremes, tolerance: Tolerance) -> Extremes:
    """Return the same vectors with values and residuals from float64 products over all images.

    A pair that had converged counts as converged if this residual meets the tolerance too.
    ``found`` is returned where ``op`` has no such products.

    Cost: a float64 product for each pair.
    """
    if not isinstance(op, ChunkedOperator):
        return found
    vectors = [pair.vector for pair in found.pairs]
    seen = quotients_in_float64(op.in_float64(), vectors, tolerance=tolerance)
    both = zip(seen, found.pairs, strict=True)
    pairs = tuple(
        replace(pair, converged=pair.converged and before.converged) for pair, before in both
    )
    return replace(found.with_pairs(pairs), proven=True)


def _checked(
    op: SymmetricOperator, vectors: list[torch.Tensor], met: npt.NDArray[np.bool_]
) -> tuple[Eigenpair, ...]:
    """Return the pairs of ``vectors``, which it empties, or they would lie beside the pairs'."""
    pairs = []
    for m in met.tolist()[: len(vectors)]:
        pairs.append(eigenpair_of_vector(op, vectors.pop(0), m))
    return tuple(pairs)


def _judged(found: Extremes, tolerance: Tolerance) -> Extremes:
    """Return ``found``, its pairs converged if the residuals of their products say so too."""
    allowed = tolerance.allowed([pair.value for pair in found.pairs])
    both = zip(found.pairs, allowed.tolist(), strict=True)
    return found.with_pairs(
        tuple(
            replace(pair, converged=pair.converged and pair.residual_norm <= most)
            for pair, most in both
        )
    )


def _check(op: SymmetricOperator, k: int, max_steps: int, max_basis: int | None) -> None:
    check_operator(op)
    check_count("k", k, op.size)
    check_count("max_steps", max_steps)
    if max_basis is not None:
        check_max_basis(max_basis, k)
