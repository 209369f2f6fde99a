"""Both extremes of a class's Hessian, most of the work done on the images of most curvature.

After training, a few images carry nearly all of the curvature. Lanczos runs on those; what it finds
is refined on the images that carry all but a trace of it, and checked on all: value and residual
come from products over every image, so the answer never depends on the selection. Where it does
not pay, all images are used throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from spectra.active.choose import IS_LIKE_ALL, ActiveImages, choose_active
from spectra.active.cold_check import steps_are_free
from spectra.active.jacobi_davidson import PartModel, Subspace
from spectra.active.refining import Refining, orthonormal
from spectra.errors import InputError
from spectra.krylov.defaults import ACTIVE_TOLERANCE, MAX_STEPS
from spectra.krylov.extremes import Extremes
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.outer_bounds import LEAST_SIZE, outer_bounds, rounding_seen
from spectra.krylov.stopping.ends_of_run import EndsOfRun, met_with_evidence
from spectra.krylov.stopping.start import draw_start
from spectra.krylov.tolerance import Tolerance
from spectra.operators.chunked import ChunkedOperator
from spectra.system.progress import Progress, counted

# Relative residual that Lanczos is run to on a selection. Ours: what a selection leaves out is far
# larger, but at .1 a run may stop at its second-lowest eigenvalue, from which the lowest of all
# images is many corrections away (classes 0 and 5 of a ResNet-20 on CIFAR-10-LT).
FIRST_TOLERANCE = 0.03
# Ours: of small networks, where it costs next to nothing, both ends come out within 3 % of the
# smaller of them, an error being some square of the residual.
SMALL_NETWORK_TOLERANCE = 0.005
# Products with the selection for each correction, of the lower end and of the upper one. Ours: the
# upper end takes one correction in any case.
GROWTH = (2, 0)
_TOLERANCE = Tolerance(ACTIVE_TOLERANCE)


def extremes_by_active_images(
    op: ChunkedOperator,
    *,
    generator: torch.Generator,
    warm: Extremes | None = None,
    tolerance: Tolerance = _TOLERANCE,
    max_steps: int = MAX_STEPS,
    proof: bool = True,
    on_progress: Progress | None = None,
) -> Extremes:
    """Find λmin and λmax over all images of ``op``.

    Cost: one forward pass, some 20 Lanczos steps on up to a fifth of the images, a few products on
    the images that carry nearly all of the curvature, and at last on all images one for each end,
    in float64 with ``proof``, and a cold check of some three (:mod:`spectra.active.cold_check`).
    Where the ends do not converge so, or one is at zero, that of a run over all images besides.

    Args:
        op: the Hessian.
        generator: source of the start vector.
        warm: what a neighbouring checkpoint gave, of the same size, on any device; the start is
            then its two vectors and a random part.
        tolerance: residual over all images at which an end counts as converged.
        max_steps: limit of the Lanczos steps.
        proof: take the final values from float64 second derivatives.
        on_progress: called after each Lanczos step with ("", steps done, limit), and in the same
            way after each correction, counted on.

    Returns:
        Pairs whose values and residuals are over all images; ``start`` and ``images_used`` say how
        they were found. Nothing bounds the spectrum from outside after a selection: ``missed`` says
        what a cold check would not have seen.

    Raises:
        InputError: a number is out of range, or ``warm`` is of another size.
        NonFiniteError: a product held NaN or infinity.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> H = spectra.class_hessian(net, torch.randn(60, 4), [0, 1] * 30, None)
        >>> found = spectra.extremes_by_active_images(H, generator=spectra.make_generator(0))
        >>> found.start, found.proven, found.smallest.value <= found.largest.value
        ('cold', True, True)
    """
    if max_steps < 1:
        raise InputError(f"max_steps must be at least 1, got {max_steps}")
    if warm is not None and warm.smallest.vector.shape != (op.size,):
        raise InputError(f"a warm start must have {op.size} parameters")
    warm = None if warm is None else warm.to(op.device)
    how = _How(generator, warm, tolerance, min(max_steps, op.size), proof, on_progress)
    active = choose_active(op.scores())
    if active.index is not None:
        found = _on_selection(op, active, how)
        values = [abs(pair.value) for pair in found.pairs]
        # Of an end at zero, nothing is known but by a long run.
        if found.converged and min(values) > tolerance.floor * max(values):
            return found
    return _on_all(op, how)


@dataclass(frozen=True)
class _How:
    """What :func:`extremes_by_active_images` was asked for, beside the operator."""

    generator: torch.Generator
    warm: Extremes | None
    tolerance: Tolerance
    limit: int
    proof: bool
    on_progress: Progress | None

    @property
    def start(self) -> str:
        """As in :class:`Extremes`."""
        return "cold" if self.warm is None else "warm"


def _on_selection(op: ChunkedOperator, active: ActiveImages, how: _How) -> Extremes:
    """Find both ends on the images of most curvature, refine them, and check them on all."""
    assert active.index is not None
    part = op.over_images(active.index)
    first = replace(how.tolerance, tol=FIRST_TOLERANCE)
    run, _ = _lanczos(part, replace(how, tolerance=first), refined=how.warm is None)
    tolerance = how.tolerance
    if steps_are_free(op.size):
        tolerance = replace(tolerance, tol=min(tolerance.tol, SMALL_NETWORK_TOLERANCE))
    refining = Refining(
        op=op,
        model=PartModel.of(run, scale=1 / active.share),
        growth=GROWTH if IS_LIKE_ALL <= active.share < 1 else (0, 0),
        tolerance=tolerance,
        proof=how.proof,
        generator=how.generator,
        on_made=counted(how.on_progress, how.limit, before=len(run)),
    )
    sub = refining.begin(active.middle)
    part.forget()
    settled = refining.settle(sub)
    return Extremes(
        lowest=settled.pairs[:1],
        highest=settled.pairs[1:],
        steps=len(run),
        start=how.start,
        images_used="active",
        active_images=len(active.index),
        refinements=refining.made,
        proven=settled.proven,
        missed=None if refining.check is None else refining.check.missed,
    )


def _on_all(op: ChunkedOperator, how: _How) -> Extremes:
    """Find both ends by Lanczos over all images."""
    run, share = _lanczos(op, how)
    t = run.tridiagonal()
    known = bool(met_with_evidence(t, op.size, how.tolerance, random_share=share).all())
    refining = Refining(
        op=op,
        model=PartModel.of(run),
        growth=(0, 0),
        tolerance=how.tolerance,
        proof=how.proof,
        generator=None if known else how.generator,
        on_made=counted(how.on_progress, how.limit, before=len(run)),
    )
    # One pass then gives all that is asked of float64, and no product is made for a residual.
    one_pass = how.proof and op.tells_images_apart
    settled = refining.settle(ends_with_products(run) if one_pass else None)
    outer = None
    if share == 1 or op.size >= LEAST_SIZE:
        ends = settled.pairs[0].value, settled.pairs[1].value
        rounding = rounding_seen(t, ends, op.size, torch.finfo(op.dtype).eps)
        outer = outer_bounds(t, op.size, rounding=rounding, random_share=share)
    return Extremes(
        lowest=settled.pairs[:1],
        highest=settled.pairs[1:],
        steps=len(run),
        start=how.start,
        active_images=op.num_images,
        refinements=refining.made,
        proven=settled.proven,
        outer_bounds=outer,
        exact=settled.exact,
    )


def _lanczos(op: ChunkedOperator, how: _How, *, refined: bool = False) -> tuple[Lanczos, float]:
    """Run Lanczos until both ends have converged; return the share of its start that is random.

    Args:
        op: all images, or a selection.
        how: of the whole.
        refined: what is found will be refined and checked, and residuals are enough.
    """
    known = () if how.warm is None else (how.warm.smallest.vector, how.warm.largest.vector)
    start = draw_start(op, how.generator, known)
    run = Lanczos(op, start.vector)
    ends = EndsOfRun(run, 1, how.tolerance, random_share=start.random_share)

    def converged(run: Lanczos) -> bool:
        if len(run) <= 2:
            return False
        if refined:
            t = run.tridiagonal()
            return bool(how.tolerance.met_at_ends(t.ritz_values(), t.residual_bounds()).all())
        return ends.have_converged(run)

    run.run_until(converged, how.limit, on_step=counted(how.on_progress, how.limit))
    return run, start.random_share


def ends_with_products(run: Lanczos) -> Subspace:
    """Return both ends of a run with their products, which its recurrence gives: none is made.

    H Q s = Q T s + β s_m q, q the vector after the last step: to the rounding of the products.
    """
    t = run.tridiagonal()
    s = t.ritz_coefficients()[:, [0, -1]]
    images = t.matrix() @ s
    rows = [*s.T, *images.T]
    vectors = [run.basis.combine(np.ascontiguousarray(row)) for row in rows]
    if not run.closed:
        following = run.basis.last().double()
        for k in (0, 1):
            vectors[2 + k] = vectors[2 + k] + t.residual_beta * float(s[-1, k]) * following
    sub = Subspace(run.op)
    sub.add(*orthonormal(torch.stack(vectors[:2]).double(), torch.stack(vectors[2:]).double()))
    return sub
