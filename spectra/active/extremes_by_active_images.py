"""Both extremes of a class's Hessian, most of the work done on the images of most curvature.

After training, a few images carry nearly all of the curvature. Lanczos runs on those; what it finds
is refined on the images that carry all but a trace of it, and checked on all: value and residual
come from products over every image, so the answer never depends on the selection. Where it does
not pay, all images are used throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectra.active.choose import IS_LIKE_ALL, choose_active
from spectra.active.jacobi_davidson import PartModel, Subspace
from spectra.errors import InputError
from spectra.krylov.defaults import ACTIVE_TOLERANCE, MAX_STEPS
from spectra.krylov.extremes import Extremes
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.outer_bounds import outer_bounds
from spectra.krylov.probes import draw_probe
from spectra.krylov.rayleigh_quotients import (
    RayleighQuotients,
    eigenpairs_of_products,
    rayleigh_quotients,
)
from spectra.krylov.tolerance import Tolerance, product_rounding
from spectra.operators.chunked import ChunkedOperator
from spectra.system.progress import Progress, counted

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
    the images that carry nearly all of the curvature, and at last one for each end on all, in
    float64 with ``proof``.

    Args:
        op: the Hessian.
        generator: source of the start vector.
        warm: what a neighbouring checkpoint gave, of the same size, on any device; the start is
            then its two vectors and a random part.
        tolerance: residual over all images at which an end counts as converged.
        max_steps: limit of the Lanczos steps.
        proof: take the final values and residuals from float64 products.
        on_progress: called after each Lanczos step with ("", steps done, limit), and in the same
            way after each correction, counted on.

    Returns:
        Pairs whose values and residuals are over all images; ``start`` and ``images_used`` say how
        they were found. Nothing bounds λmin from below after a selection or a warm start.

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
    active = choose_active(op.scores())
    part = op if active.index is None else op.over_images(active.index)
    inner = tolerance if active.index is None else replace(tolerance, tol=FIRST_TOLERANCE)
    limit = min(max_steps, op.size)
    run = _lanczos(part, generator, warm, inner, limit, on_progress)
    refining = _Refining(
        op=op,
        model=PartModel.of(run, scale=1 / active.share),
        growth=GROWTH if IS_LIKE_ALL <= active.share < 1 else (0, 0),
        tolerance=tolerance,
        proof=proof,
        on_made=counted(on_progress, limit, before=len(run)),
    )
    sub = None if active.index is None else refining.begin(active.middle)
    if part is not op:
        part.forget()
    settled = refining.settle(sub)
    outer = None
    if active.index is None and warm is None:
        rounding = product_rounding(op.size, torch.finfo(op.dtype).eps)
        outer = outer_bounds(run.tridiagonal(), op.size, rounding=rounding)
    return Extremes(
        lowest=settled.pairs[:1],
        highest=settled.pairs[1:],
        steps=len(run),
        start="cold" if warm is None else "warm",
        images_used="all" if active.index is None else "active",
        active_images=op.num_images if active.index is None else len(active.index),
        refinements=refining.made,
        proven=settled.proven,
        outer_bounds=outer,
    )


@dataclass
class _Refining:
    """Corrections of both ends, by a model that learns from them.

    Attributes:
        op: all images.
        model: what Lanczos found.
        growth: see :data:`GROWTH`.
        tolerance: of the residuals over all images.
        proof: take values and residuals over all images in float64.
        on_made: called with ``made`` after each of them.
        made: passes that corrections have taken, of at most MAX_REFINEMENTS.
    """

    op: ChunkedOperator
    model: PartModel
    growth: tuple[int, int]
    tolerance: Tolerance
    proof: bool
    on_made: Callable[[int], None] | None = None
    made: int = 0

    def begin(self, middle: Tensor) -> Subspace:
        """Refine the model's ends on the images ``middle`` where that pays, else on all."""
        largest = LARGEST_MIDDLE if self.proof else LARGEST_MIDDLE_UNPROVEN
        pays = len(middle) <= largest * self.op.num_images
        sub = Subspace(self.op.over_images(middle) if pays else self.op)
        sub.extend(self.model.ends())
        self.refine(sub, MIDDLE_TOLERANCE if pays else 1.0)
        return sub

    def settle(self, sub: Subspace | None) -> RayleighQuotients:
        """Look at both ends over all images, and refine them there until they have converged.

        Args:
            sub: holds them; None: they are the model's.
        """
        exact, seen = (self.op.in_float64() if self.proof else self.op), None
        while True:
            if not self.proof and sub is not None and sub.op is self.op:
                seen = self._seen_already(sub)
            else:
                ends = torch.stack(self.model.ends()) if sub is None else sub.ends()[0]
                seen = rayleigh_quotients(exact, ends, tolerance=self.tolerance, before=seen)
            if all(pair.converged for pair in seen.pairs):
                return seen
            first = sub is None or sub.op is not self.op
            if sub is None or first:
                vectors = torch.stack([pair.vector for pair in seen.pairs])
                sub = Subspace(self.op)
                sub.add(*_orthonormal(vectors, seen.products))
            # A margin, for products in float32 and in float64 differ. The span of what was seen
            # may hold vectors that need no correction.
            if not self.refine(sub, 0.8) and not first:
                return seen

    def refine(self, sub: Subspace, part: float) -> bool:
        """Add corrections of the ends that have not converged, until they have.

        Args:
            sub: holds the ends.
            part: of the tolerance's ``tol``, that they are to reach.

        Returns:
            Whether anything was added.
        """
        tolerance = replace(self.tolerance, tol=part * self.tolerance.tol)
        before = self.made
        while self.made < MAX_REFINEMENTS:
            ritz = [sub.pair(i) for i in (0, -1)]
            allowed = tolerance.allowed([value for value, _, _ in ritz]).tolist()
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

    def _seen_already(self, sub: Subspace) -> RayleighQuotients:
        """Return what the products say that a subspace holds."""
        vectors, products = sub.ends()
        pairs = eigenpairs_of_products(vectors, products, self.tolerance)
        return RayleighQuotients(pairs, products, proven=False)


def _lanczos(
    op: ChunkedOperator,
    generator: torch.Generator,
    warm: Extremes | None,
    tolerance: Tolerance,
    limit: int,
    on_progress: Progress | None,
) -> Lanczos:
    """Run Lanczos until |βs| is within tolerance at both ends."""
    start = draw_probe(op.size, probe="normal", generator=generator).to(op.device)
    if warm is not None:
        start = warm.smallest.vector + warm.largest.vector + RANDOM_PART * start

    def converged(run: Lanczos) -> bool:
        if len(run) <= 2:
            return False
        t = run.tridiagonal()
        return bool(tolerance.met_at_ends(t.ritz_values(), t.residual_bounds()).all())

    run = Lanczos(op, start)
    run.run_until(converged, limit, on_step=counted(on_progress, limit))
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
