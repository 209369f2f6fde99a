"""Refining both ends on the images of most curvature, and judging them over all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectra.active.cold_check import CHECK_STEPS, cold_check
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
MAX_REFINEMENTS = 40
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
    """

    op: ChunkedOperator
    model: PartModel
    growth: tuple[int, int]
    tolerance: Tolerance
    proof: bool
    generator: torch.Generator | None
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
                ends = torch.stack(self.model.ends()) if sub is None else sub.ends()[0]
                seen = rayleigh_quotients(exact, ends, tolerance=self.tolerance, before=seen)
            met = all(pair.converged for pair in seen.pairs)
            if met and checks == MAX_CHECKS:
                return seen
            first = sub is None or sub.op is not self.op
            if sub is None or first:
                vectors = torch.stack([pair.vector for pair in seen.pairs])
                sub = Subspace(self.op)
                sub.add(*_orthonormal(vectors, seen.products))
            if met:
                moved = self._moved_by_check(sub, seen)
                if not any(moved):
                    return seen
                checks += 1
                seen = _unconverged(seen, moved)
                if checks == MAX_CHECKS:
                    return seen
            # A margin, for products in float32 and in float64 differ. The span of what was seen
            # may hold vectors that need no correction.
            if not self.refine(sub, 0.8) and not first and not met:
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

    def _moved_by_check(self, sub: Subspace, seen: RayleighQuotients) -> list[bool]:
        """Say of which ends a cold check has found something further out."""
        assert self.generator is not None
        for _ in range(cold_check(sub, self.model, self.generator, steps=CHECK_STEPS)):
            self.made += 1
            if self.on_made:
                self.on_made(self.made)
        values = [pair.value for pair in seen.pairs]
        least = FLOORS * self.tolerance.floor * max(abs(value) for value in values)
        return [
            outward * (sub.pair(index)[0] - value) > CLOSE * max(abs(value), least)
            for index, outward, value in zip((0, -1), (-1, 1), values, strict=True)
        ]

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


def _unconverged(seen: RayleighQuotients, which: list[bool]) -> RayleighQuotients:
    """Return ``seen``, the pairs of ``which`` no longer converged."""
    both = zip(seen.pairs, which, strict=True)
    pairs = tuple(replace(pair, converged=pair.converged and not moved) for pair, moved in both)
    return replace(seen, pairs=pairs)
