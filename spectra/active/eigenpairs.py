"""Both extremes of a class's Hessian, most of the work done on the images that bend the loss.

After training, a few images carry nearly all of the curvature. Lanczos runs on those; what it finds
is refined on the images that carry all but a trace of it, and judged on all: value and residual
come from products over every image, so the answer never depends on the selection. Where it does
not pay, all images are used throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.active.choose import IS_LIKE_ALL, choose_active
from spectra.active.jacobi_davidson import PartModel, Subspace
from spectra.errors import InputError
from spectra.krylov.defaults import FLOOR, MAX_STEPS, RESIDUAL_TOLERANCE
from spectra.krylov.extremes import Extremes
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.outer_bounds import TailBounds, bounds
from spectra.krylov.rayleigh import Judged, allowed_residuals, as_pairs, judge
from spectra.krylov.slq import draw_probe
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress

LARGEST_MIDDLE = 0.85
LARGEST_MIDDLE_UNPROVEN = 0.5  # without proof, judging costs what refining on all would save
MIDDLE_TOLERANCE = 2 / 3
# Relative residual that Lanczos is run to on a selection: what it leaves out is far larger.
FIRST_TOLERANCE = 0.1
# Products with the selection for each correction, of the lower end and of the upper one.
GROWTH = (3, 2)
# Part of a random direction in a warm start, against eigenvectors that come up from below.
RANDOM_PART = 0.3
MAX_REFINEMENTS = 40


@dataclass(frozen=True)
class ActiveExtremes(Extremes):
    """Both ends, and what certificates need.

    Attributes:
        scales: see :class:`spectra.krylov.rayleigh.Judged`.
        tail: what bounds the spectrum from outside, after a cold start with all images.
    """

    scales: tuple[float, float] = (0.0, 0.0)
    tail: TailBounds | None = None


def solve_extremes(
    op: HessianOperator,
    *,
    generator: torch.Generator,
    warm: Extremes | None = None,
    tol: float = RESIDUAL_TOLERANCE,
    floor: float = FLOOR,
    max_steps: int = MAX_STEPS,
    proof: bool = True,
    on_progress: Progress | None = None,
) -> ActiveExtremes:
    """Find λmin and λmax over all images of ``op``.

    Cost: one forward pass, some 20 Lanczos steps on up to a fifth of the images, a few products on
    the images that carry nearly all of the curvature, and at last one for each end on all, in
    float64 with ``proof``.

    Args:
        op: the Hessian.
        generator: source of the start vector.
        warm: what a neighbouring checkpoint gave, of the same size, on any device; the start is
            then its two vectors and a random part.
        tol: residual over all images, relative to |θ|, at which an end counts as converged.
        floor: size, relative to the largest |θ|, under which an eigenvalue counts as zero.
        max_steps: limit of the Lanczos steps.
        proof: take the final values and residuals from float64 products.
        on_progress: called after each Lanczos step with ("", steps done, limit), and in the same
            way after each correction, counted on.

    Returns:
        Pairs whose values and residuals are over all images; ``start`` and ``images_used`` say how
        they were come by. Nothing bounds λmin from below after a selection or a warm start.
    """
    if not (tol > 0 and floor >= 0 and max_steps >= 1):
        raise InputError(f"tol, floor, max_steps are out of range: {tol}, {floor}, {max_steps}")
    if warm is not None and warm.smallest.vector.shape != (op.size,):
        raise InputError(f"a warm start must have {op.size} parameters")
    warm = None if warm is None else warm.to(op.device)
    active = choose_active(op.scores())
    part = op if active.index is None else op.over_images(active.index)
    inner = tol if active.index is None else FIRST_TOLERANCE
    limit = min(max_steps, op.size)
    run = _lanczos(part, generator, warm, inner, floor, limit, on_progress)
    refining = _Refining(
        op=op,
        model=PartModel.of(run, scale=1 / active.share),
        growth=GROWTH if IS_LIKE_ALL <= active.share < 1 else (0, 0),
        tol=tol,
        floor=floor,
        proof=proof,
        on_made=on_progress and (lambda made: on_progress("", len(run) + made, limit)),
    )
    sub = None if active.index is None else refining.begin(active.middle)
    if part is not op:
        part.forget()
    judged = refining.settle(sub)
    small, large = judged.pairs
    tail = None
    if active.index is None and warm is None:
        tail = bounds(run.tridiagonal(), op.size, rounding=_rounding(op))
    return ActiveExtremes(
        smallest=small,
        largest=large,
        steps=len(run),
        start="cold" if warm is None else "warm",
        images_used="all" if active.index is None else "active",
        active_images=op.num_images if active.index is None else len(active.index),
        refinements=refining.made,
        proven=judged.proven,
        scales=judged.scales,
        tail=tail,
    )


@dataclass
class _Refining:
    """Corrections of both ends, by a model that learns from them.

    Attributes:
        op: all images.
        model: what Lanczos found.
        growth: see :data:`GROWTH`.
        tol: of the residuals over all images, relative.
        floor: see :func:`solve_extremes`.
        proof: judge in float64.
        on_made: called with ``made`` after each of them.
        made: passes that corrections have taken, of at most MAX_REFINEMENTS.
    """

    op: HessianOperator
    model: PartModel
    growth: tuple[int, int]
    tol: float
    floor: float
    proof: bool
    on_made: Callable[[int], None] | None = None
    made: int = 0

    def begin(self, middle: Tensor) -> Subspace:
        """Refine the model's ends on the images ``middle`` where that pays, else on all."""
        largest = LARGEST_MIDDLE if self.proof else LARGEST_MIDDLE_UNPROVEN
        pays = len(middle) <= largest * self.op.num_images
        sub = Subspace(self.op.over_images(middle) if pays else self.op)
        sub.extend(self.model.ends())
        self.refine(sub, MIDDLE_TOLERANCE * self.tol if pays else self.tol)
        return sub

    def settle(self, sub: Subspace | None) -> Judged:
        """Judge both ends on all images, and refine them there until they have converged.

        Args:
            sub: holds them; None: they are the model's.
        """
        exact, judged = (self.op.in_float64() if self.proof else self.op), None
        while True:
            if not self.proof and sub is not None and sub.op is self.op:
                judged = self._as_judged(sub)
            else:
                ends = torch.stack(self.model.ends()) if sub is None else sub.ends()[0]
                judged = judge(exact, ends, tol=self.tol, floor=self.floor, before=judged)
            if all(p.converged for p in judged.pairs):
                return judged
            first = sub is None or sub.op is not self.op
            if sub is None or first:
                vectors = torch.stack([p.vector for p in judged.pairs])
                sub = Subspace(self.op)
                sub.add(*_orthonormal(vectors, judged.products))
            # A margin, for products in float32 and in float64 differ. The span of what was judged
            # may hold vectors that need no correction.
            if not self.refine(sub, 0.8 * self.tol) and not first:
                return judged

    def refine(self, sub: Subspace, tol: float) -> bool:
        """Add corrections of the ends that have not converged, until they have.

        Returns:
            Whether anything was added.
        """
        before = self.made
        while self.made < MAX_REFINEMENTS:
            ritz = [sub.pair(i) for i in (0, -1)]
            allowed = allowed_residuals([r[0] for r in ritz], tol=tol, floor=self.floor)
            corrections = []
            for (value, vector, residual), a, steps in zip(ritz, allowed, self.growth, strict=True):
                if float(residual.norm()) > a:
                    self.model.grow(residual, steps)
                    corrections.append(self.model.correction(residual, value, vector))
            if not corrections or not sub.extend(corrections):
                break
            self.made += 1
            if self.on_made:
                self.on_made(self.made)
        return self.made > before

    def _as_judged(self, sub: Subspace) -> Judged:
        """Return what the products say that a subspace holds."""
        vectors, products = sub.ends()
        pairs = as_pairs(vectors, products, tol=self.tol, floor=self.floor)
        return Judged(pairs, products, (0.0, 0.0), proven=False)


def _rounding(op: HessianOperator) -> float:
    """Return what bounds() is told of a product's rounding, relative to max|θ|."""
    return float(10 * op.size**0.5 * torch.finfo(op.dtype).eps)


def _lanczos(
    op: HessianOperator,
    generator: torch.Generator,
    warm: Extremes | None,
    tol: float,
    floor: float,
    limit: int,
    on_progress: Progress | None,
) -> Lanczos:
    """Run Lanczos until |βs| is within tolerance at both ends."""
    start = draw_probe(op.size, probe="normal", generator=generator).to(op.device)
    if warm is not None:
        start = warm.smallest.vector + warm.largest.vector + RANDOM_PART * start
    run = Lanczos(op, start)
    while len(run) < limit and run.step():
        if on_progress:
            on_progress("", len(run), limit)
        if run.pending and len(run) < limit:
            continue
        t = run.tridiagonal()
        values, residuals = t.ritz_values()[[0, -1]], t.residual_bounds()[[0, -1]]
        allowed = allowed_residuals(values.tolist(), tol=tol, floor=floor)
        if len(run) > 2 and all(r <= a for r, a in zip(residuals, allowed, strict=True)):
            break
    return run


def _orthonormal(vectors: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Return orthonormal vectors of the same span, and their products."""
    kept, images = [vectors[0] / vectors[0].norm()], [products[0] / vectors[0].norm()]
    overlap = kept[0] @ vectors[1]
    rest = vectors[1] - overlap * kept[0]
    if float(rest.norm()) > 1e-6 * float(vectors[1].norm()):
        kept.append(rest / rest.norm())
        images.append((products[1] - overlap * images[0]) / rest.norm())
    return torch.stack(kept), torch.stack(images)
