"""A short cold run over all images, beside what is known: would it have found another end?

What was found on a selection of images, or from a warm start, converges whether or not it is the
outermost: residuals are no evidence, nor is it that a vector is near to an earlier one. So Lanczos
steps over all images begin at a random vector orthogonal to what is known. Their products join
those of the ends; where an eigenvalue further out hides, the span has a Ritz value there. How
likely it would have been missed follows from the start, as in :mod:`spectra.krylov.outer_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import beta as beta_distribution
from torch import Tensor

from spectra.active.jacobi_davidson import PartModel, Subspace, outside
from spectra.krylov.outer_bounds import log_sum_of_squares
from spectra.krylov.probes import draw_probe
from spectra.krylov.stopping.ends_of_run import CLOSE, FLOORS, MISLED

# Ours: steps are free while the vectors that they add hold fewer numbers than this in all. Then the
# check goes on until an eigenvalue CLOSE beyond an end would be missed with probability MISLED.
FREE_NUMBERS = 100_000
# Ours, for larger networks, where each step costs a pass over all images: until one TWICE as far
# out, and outside what the selection showed, would be missed with probability MISSED; three steps
# on ResNet-20. Ends of which MOST_STEPS cannot say so have not converged.
TWICE, MISSED, MOST_STEPS = 2.0, 0.25, 8


def steps_are_free(size: int) -> bool:
    """Say whether a network of ``size`` parameters is so small that products cost next to nothing.

    >>> steps_are_free(1000), steps_are_free(100_000)
    (True, False)
    """
    return FREE_NUMBERS // size > MOST_STEPS


@dataclass(frozen=True)
class ColdCheck:
    """What a cold check has looked at.

    Attributes:
        steps: products over all images.
        missed: probability that an eigenvalue twice as far out as the lower end, and as the upper
            one, would not have shown itself.
        passed: whether the check saw as much as it is to see, at the lower and at the upper end.
    """

    steps: int
    missed: tuple[float, float]
    passed: tuple[bool, bool]


def cold_check(
    sub: Subspace,
    model: PartModel,
    ends: tuple[float, float],
    generator: torch.Generator,
    *,
    floor: float,
    on_step: Callable[[], None] | None = None,
) -> ColdCheck:
    """Add Lanczos vectors of a random start to ``sub`` until a hidden end would have shown itself.

    The start is orthogonal to ``sub``, and where steps are not free, to what ``model`` knows too.

    Cost: a product over all images for each step.

    Args:
        sub: holds the ends that were found and their products over all images, and nothing else,
            which might hold a part of what is hidden.
        model: what a run on a selection has found.
        ends: λmin and λmax as they were found, eigenvalue units.
        generator: of the start, on the CPU; nothing that is known may depend on what it draws.
        floor: relative size under which an eigenvalue counts as zero.
        on_step: called after each step.
    """
    op = sub.op
    free = steps_are_free(op.size)
    most = FREE_NUMBERS // op.size if free else MOST_STEPS
    factor, allowed = (1 + CLOSE, MISLED) if free else (TWICE, MISSED)
    count = len(sub)
    known = () if free else (model.vectors,)
    random = draw_probe(op.size, probe="normal", generator=generator).to(op.device)
    following = _outside(random, sub.vectors, *known)
    seen = _Seen(ends, floor, op.size - count - sum(len(rows) for rows in known))
    for _ in range(most):
        if not sub.extend([following]):
            seen.closed = True
            break
        vector, product = sub.vectors[-1], sub.products[-1]
        following = _outside(product, sub.vectors[:count], *known)
        left = outside(following, sub.vectors[count:])[0]
        alpha, beta = torch.stack([vector @ product, left.norm()]).tolist()
        seen.add(alpha, beta)
        if on_step:
            on_step()
        if max(seen.missed(factor)) <= allowed:
            break
    missed, asked = seen.missed(TWICE), seen.missed(factor)
    return ColdCheck(len(seen), missed, (asked[0] <= allowed, asked[1] <= allowed))


def _outside(v: Tensor, *spans: Tensor) -> Tensor:
    """Return the part of ``v`` (P,) orthogonal to the rows of the first of ``spans``, and nearly so
    to those of the others.
    """
    for rows in reversed(spans):
        v = outside(v.to(rows), rows)[0].double()
    return v


@dataclass
class _Seen:
    """What the recurrence of a check says of hidden eigenvalues.

    Attributes:
        ends: λmin and λmax that are known.
        floor: relative size under which an eigenvalue counts as zero.
        dimension: of the space that the start is random in.
        closed: there was nothing left to look at.
    """

    ends: tuple[float, float]
    floor: float
    dimension: int
    closed: bool = False
    alphas: list[float] = field(default_factory=list)
    betas: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.alphas)

    def add(self, alpha: float, beta: float) -> None:
        """Take the coefficients of a step."""
        self.alphas.append(alpha)
        self.betas.append(beta)

    def missed(self, factor: float) -> tuple[float, float]:
        """Return how likely an eigenvalue ``factor`` times as far out would have been missed.

        An eigenvector with the squared component c² in the start shows itself unless
        c² Σ_j π_j(λ)² <= 1; c² is Beta(1/2, (D - 1)/2) in D dimensions.
        """
        if self.closed or self.dimension < 2:
            return 0.0, 0.0
        if not self.alphas:
            return 1.0, 1.0
        least = FLOORS * self.floor * max(abs(end) for end in self.ends)
        alphas, betas = np.array(self.alphas), np.array(self.betas)
        found = []
        for outward, end in zip((-1, 1), self.ends, strict=True):
            beyond = end + outward * (factor - 1) * max(abs(end), least)
            log = log_sum_of_squares(-outward * alphas, betas, -outward * beyond)
            component = math.exp(-log)
            found.append(float(beta_distribution.cdf(component, 0.5, (self.dimension - 1) / 2)))
        return found[0], found[1]
