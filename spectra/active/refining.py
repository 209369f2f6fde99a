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
    quotients_beside_products,
    rayleigh_quotients,
)
from spectra.krylov.stopping.ends_of_run import CLOSE, FLOORS
from spectra.krylov.tolerance import Tolerance
from spectra.operators.chunked import ChunkedOperator

LARGEST_MIDDLE = 0.85
# Ours: what is left out adds .01 to the relative residual, and its square to that of .92 of .03.
MIDDLE_TOLERANCE = 0.92
# Ours: a margin, for the values that are reported are in float64, beside products in float32.
MARGIN = 0.98
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
        proof: take the values over all images in float64.
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
        """Refine the model's ends on the images ``middle`` where that pays.

        Returns:
            Both ends, with products over all images.
        """
        sub = Subspace(self.op)
        if len(middle) > LARGEST_MIDDLE * self.op.num_images:
            sub.extend([*self.model.ends(), *self.model.second_lowest()])
            return sub
        most = self.op.over_images(middle)
        part = Subspace(most)
        part.extend([*self.model.ends(), *self.model.second_lowest()])
        self.refine(part, MIDDLE_TOLERANCE)
        most.forget()
        others = torch.ones(self.op.num_images, dtype=torch.bool, device=middle.device)
        others[middle] = False
        rest = self.op.over_images(others.nonzero()[:, 0])
        vectors, products = part.ends()
        sub.add(*orthonormal(vectors, products + rest.matmat(vectors).double()))
        rest.forget()
        return sub

    def settle(self, sub: Subspace | None) -> RayleighQuotients:
        """Refine both ends over all images until they have converged, and judge them.

        An end has converged when its residual is small, and a cold check, if there is to be one,
        has found nothing further out.

        Args:
            sub: holds them, with products over all images; None: they are the model's.
        """
        first = None
        if sub is None:
            exact = self.op.in_float64() if self.proof else self.op
            vectors = torch.stack(self.model.ends())
            first = rayleigh_quotients(exact, vectors, tolerance=self.tolerance)
            sub = self._of_ends(first)
        checks, stands = 0, (True, True)
        while True:
            if self.refine(sub, MARGIN):
                first = None
            seen = first or self._seen(sub)
            met = all(pair.converged for pair in seen.pairs)
            if self.generator is None or not met or checks == MAX_CHECKS:
                break
            ends = self._of_ends(seen)
            moved, stands = self._look_beyond(ends, seen)
            checks += 1
            if not moved:
                break
            sub.absorb(ends)
            first = None
        judged = first or self._judged(sub)
        both = zip(judged.pairs, stands, strict=True)
        pairs = tuple(replace(pair, converged=pair.converged and ok) for pair, ok in both)
        return replace(judged, pairs=pairs)

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
    ) -> tuple[bool, tuple[bool, bool]]:
        """Say whether a cold check has found something further out, and which ends stand after it.

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
        # Both on the scale of the smaller, as their ratio is what is asked about; half, for what
        # the check shows of a hidden end is a part of it.
        most = CLOSE / 2 * max(smaller, FLOORS * floor * larger)
        below = low - sub.pair(0)[0] > most
        above = sub.pair(-1)[0] - high > most
        passed = self.check.passed
        return below or above, (passed[0] and not below, passed[1] and not above)

    def _count(self) -> None:
        self.made += 1
        if self.on_made:
            self.on_made(self.made)

    def _of_ends(self, seen: RayleighQuotients) -> Subspace:
        """Return a subspace of both ends alone."""
        sub = Subspace(self.op)
        vectors = torch.stack([pair.vector for pair in seen.pairs])
        sub.add(*orthonormal(vectors, seen.products))
        return sub

    def _seen(self, sub: Subspace) -> RayleighQuotients:
        """Return what the products say that a subspace holds."""
        vectors, products = sub.ends()
        pairs = eigenpairs_of_products(vectors, products, self.tolerance)
        return RayleighQuotients(pairs, products, proven=False)

    def _judged(self, sub: Subspace) -> RayleighQuotients:
        """Return both ends of a subspace, their values in float64 where there is to be a proof."""
        if not self.proof:
            return self._seen(sub)
        return quotients_beside_products(self.op, *sub.ends(), tolerance=self.tolerance)


def orthonormal(vectors: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Return orthonormal vectors of the same span, and their products."""
    kept, images = [vectors[0] / vectors[0].norm()], [products[0] / vectors[0].norm()]
    overlap = kept[0] @ vectors[1]
    rest = vectors[1] - overlap * kept[0]
    if float(rest.norm()) > 1e-6 * float(vectors[1].norm()):
        kept.append(rest / rest.norm())
        images.append((products[1] - overlap * images[0]) / rest.norm())
    return torch.stack(kept), torch.stack(images)
