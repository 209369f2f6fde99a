"""Which way a loss bends at a stationary point: its curvature, and the true loss on both sides.

The rule was fixed before it was judged by the controls that were held out (docs/verdicts.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectra.krylov.lanczos import Lanczos
from spectra.krylov.outer_bounds import outer_bounds
from spectra.krylov.probes import draw_probe
from spectra.landscape.network_landscape import BalancedLoss
from spectra.landscape.stationary_point import MINIMUM, SADDLE, UNDECIDED

# Ours, as in spectra.krylov.defaults.FLOOR: eigenvalues under it, relative to the largest, are 0.
FLAT = 1e-4
# Ours: the chance, over the start vector, that the lower bound of a minimum is wrong.
FAILURE = 0.01
# Ours: a Ritz value this much of itself away from an eigenvalue has its sign.
_NEAR = 0.3
MAX_STEPS = 200
_STEPS_BETWEEN_TESTS = 10
# Ours: steps along the lowest curvature, halved from a fifth of the search radius; a true loss that
# changes by a quarter of what the curvature says agrees with it. What it changes by has to be seen
# beside the rounding of the loss.
_LONGEST, _HALVINGS, _AGREES, _SEEN = 0.2, 12, 0.25, 1e-12


@dataclass(frozen=True)
class Index:
    """What a stationary point is.

    Attributes:
        name: saddle, minimum or undecided.
        reason: the comparison that decided, with its numbers.
        lambda_min: Ritz value at the lower end, of balanced parameters.
        lambda_max: at the upper end.
        lower_bound: no eigenvalue is smaller, with probability 1 - :data:`FAILURE`.
        products: that it took.
    """

    name: str
    reason: str
    lambda_min: float
    lambda_max: float
    lower_bound: float
    products: int


def index_at(loss: BalancedLoss, u: Tensor, *, reach: float, generator: torch.Generator) -> Index:
    """Name the stationary point at ``u``.

    * saddle: λmin < -1e-4 max|λ|, a Rayleigh quotient, and the true loss falls on both sides along
      its vector;
    * minimum: λmin > 1e-4 max|λ|, converged, a lower bound for it is above -1e-4 max|λ|, and the
      true loss rises on both sides;
    * undecided: anything else.

    Cost: from 10 to :data:`MAX_STEPS` float64 products, and two losses a step length that is tried.

    Args:
        loss: in balanced parameters.
        u: where its gradient is zero, to what the search could do, shape (P,).
        reach: R: a fifth of it is the longest step that is tried.
        generator: of the start vector.
    """
    op = loss.exact_hessian(u)
    run = Lanczos(op, draw_probe(op.size, probe="normal", generator=generator))
    limit = min(MAX_STEPS, op.size)
    while True:
        run.run(min(len(run) + _STEPS_BETWEEN_TESTS, limit))
        t = run.tridiagonal()
        values, residual = t.ritz_values(), float(t.residual_bounds()[0])
        low, high, largest = float(values[0]), float(values[-1]), float(np.abs(values).max())
        below = outer_bounds(t, op.size, FAILURE).below
        deep = low < -FLAT * largest and residual < _NEAR * -low
        bounded = low > FLAT * largest and residual < _NEAR * low and below > -FLAT * largest
        if deep or bounded or run.closed or len(run) >= limit:
            break

    def named(name: str, reason: str) -> Index:
        return Index(name, reason, low, high, below, len(run))

    found = f"λmin {low:.3g}, max|λ| {largest:.3g}"
    if not (deep or bounded):
        why = "is not told from zero" if abs(low) <= FLAT * largest else "did not converge"
        return named(UNDECIDED, f"the lowest eigenvalue {why}: {found}, bound {below:.3g}")
    vector = run.ritz_vector(t.ritz_coefficients()[:, 0])
    length = _agreeing_length(loss, u, vector, low, _LONGEST * reach)
    if length is None:
        return named(UNDECIDED, f"the true loss does not bend as its curvature says: {found}")
    if deep:
        sides = f"the loss falls on both sides at {length:.2g}"
        return named(SADDLE, f"λmin {low:.3g} < -{FLAT:g} max|λ| {largest:.3g}, {sides}")
    above = f"λmin {low:.3g} > {FLAT:g} max|λ| {largest:.3g}"
    return named(MINIMUM, f"{above}, no eigenvalue under {below:.3g} at {1 - FAILURE:g}")


def _agreeing_length(
    loss: BalancedLoss, u: Tensor, vector: Tensor, curvature: float, longest: float
) -> float | None:
    """Return the longest t tried at which the loss bends along ``vector`` as it should.

    On each side by a quarter of ½ λ t² at least; None where it does at none.
    """
    here = loss.loss(u)
    length = longest
    for _ in range(_HALVINGS):
        expected = 0.5 * abs(curvature) * length**2
        if expected <= _SEEN * abs(here):
            return None
        changes = [loss.loss(u + side * length * vector) - here for side in (-1, 1)]
        if curvature < 0:
            changes = [-change for change in changes]
        if min(changes) >= _AGREES * expected:
            return length
        length /= 2
    return None
