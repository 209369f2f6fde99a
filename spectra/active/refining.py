"""Refining both ends on the images of most curvature, and judging them over all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectra.active.cold_check import ColdCheck, cold_check
from spectra.active.jacobi_davidson import PartModel, Subspace
from spectra.krylov.rayleigh_quotients import (
    RayleighQuotients,
    eigenpairs_of_products,
    rayleigh_quotients,
)
from spectra.krylov.stopping.ends_of_run import CLOSE, FLOORS
from spectra.krylov.tolerance import Tolerance
from spectra.operators.chunked import ChunkedOperator

LARGEST_MIDDLE = 0.85
LARGEST_MIDDLE_UNPROVEN = 0.5  # without proof, judging costs what refining on all would save
MIDDLE_TOLERANCE = 2 / 3
# Ours: a run over all images, which takes 20 to 60 steps, is to be preferred then.
MAX_REFINEMENTS = 20
# Ours: an end that moved at each of so many checks has not converged.
MAX_CHECKS = 4


@dataclass
class Refining:
    """Corrections of both ends, by a model that learns from them, until a cold check is passed.

    Attributes:
        op: all images.
        model: what Lanczos found.
        growth: products with the selection for each correction, of the lower and the upper end.
        tolerance: of the residuals over all images.
        proof: take values and residuals over all images in float64.
        generator: of the cold checks; None: none is needed.
        on_made: called with ``made`` after each of them.
        made: passes that corrections and checks have taken.
        corrected: those of corrections, of at most MAX_REFINEMENTS.
        check: the last cold check, if there was one.
    """

    op: ChunkedOperator
    model: PartModel
    growth: tuple[int, int]
    tolerance: Tolerance
    proof: bool
    generator: torch.Generator | None
    on_made: Callable[[int], None] | None = None
    made: int = 0
    corrected: int = 0
    check: ColdCheck | None = None

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

        An end has converged when its residual is small, and a cold check, if there is to be one,
        has found nothing further out.

        Args:
            sub: holds them; None: they are the model's.
        """
        exact, seen = (self.op.in_float64() if self.proof else self.op), None
        checks = 0 if self.generator else MAX_CHECKS
        while True:
            if not self.proof and sub is not None and sub.op is self.op:
                seen = self._seen_already(sub)
            else:
                vectors = torch.stack(self.model.ends()) if sub is None else sub.ends()[0]
                seen = rayleigh_quotients(exact, vectors, tolerance=self.tolerance, before=seen)
            met = all(pair.converged for pair in seen.pairs)
            if met and checks == MAX_CHECKS:
                return seen
            first = sub is None or sub.op is not self.op
            vectors = torch.stack([pair.vector for pair in seen.pairs])
            ends = Subspace(self.op)
            ends.add(*_orthonormal(vectors, seen.products))
            moved = False
            if met:
                moved, seen = self._look_beyond(ends, seen)
                checks += 1
                if not moved or checks == MAX_CHECKS:
                    return seen
            if sub is None or first:
                sub = ends
            elif moved:
                sub.absorb(ends)
            # A margin, for products in float32 and in float64 differ. The span of what was seen
            # may hold vectors that need no correction.
            if not self.refine(sub, 0.8) and not (first or moved):
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
        before = self.corrected
        while self.corrected < MAX_REFINEMENTS:
            ritz = [sub.pair(i) for i in (0, -1)]
            allowed = tolerance.allowed([value for value, _, _ in ritz]).tolist()
            corrections = []
            for (value, vector, residual), a, steps in zip(ritz, allowed, self.growth, strict=True):
                if float(residual.norm()) > a:
                    self.model.grow(residual, steps)
                    corrections.append(self.model.correction(residual, value, vector))
            if not corrections or not sub.extend(corrections):
                break
            self.corrected += 1
            self._count()
        return self.corrected > before

    def _look_beyond(
        self, sub: Subspace, seen: RayleighQuotients
    ) -> tuple[bool, RayleighQuotients]:
        """Say whether a cold check has found something further out, and what stands after it.

        Args:
            sub: holds the ends alone.
            seen: what is known of them.
        """
        assert self.generator is not None
        low, high = (pair.value for pair in seen.pairs)
        floor = self.tolerance.floor
        self.check = cold_check(
            sub, self.model, (low, high), self.generator, floor=floor, on_step=self._count
        )
        smaller, larger = sorted((abs(low), abs(high)))
        # Both on the scale of the smaller, as their ratio is what is asked about.
        most = CLOSE * max(smaller, FLOORS * floor * larger)
        moved = [
            outward * (sub.pair(index)[0] - value) > most
            for index, outward, value in ((0, -1, low), (-1, 1, high))
        ]
        stands = [p and not m for p, m in zip(self.check.passed, moved, strict=True)]
        both = zip(seen.pairs, stands, strict=True)
        pairs = tuple(replace(pair, converged=pair.converged and ok) for pair, ok in both)
        return any(moved), replace(seen, pairs=pairs)

    def _count(self) -> None:
        self.made += 1
        if self.on_made:
            self.on_made(self.made)

    def _seen_already(self, sub: Subspace) -> RayleighQuotients:
        """Return what the products say that a subspace holds."""
        vectors, products = sub.ends()
        pairs = eigenpairs_of_products(vectors, products, self.tolerance)
        return RayleighQuotients(pairs, products, proven=False)


def _orthonormal(vectors: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Return orthonormal vectors of the same span, and their products."""
    kept, images = [vectors[0] / vectors[0].norm()], [products[0] / vectors[0].norm()]
    overlap = kept[0] @ vectors[1]
    rest = vectors[1] - overlap * kept[0]
    if float(rest.norm()) > 1e-6 * float(vectors[1].norm()):
        kept.append(rest / rest.norm())
        images.append((products[1] - overlap * images[0]) / rest.norm())
    return torch.stack(kept), torch.stack(images)
