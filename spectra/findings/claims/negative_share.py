"""How much of a spectrum is negative: Σ|λ < 0| over Σ|λ|, from stored quadrature."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from spectra.krylov.quadrature.intervals import LEVEL, check_level
from spectra.krylov.quadrature.resolved import resolve
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import FloatArray


@dataclass(frozen=True)
class NegativeShare:
    """What part of Σ|λ| negative eigenvalues have.

    Attributes:
        share: Σ|λ < 0| / Σ|λ|, between 0 and 1.
        lower, upper: its interval over the random probes; None of one probe, which has none.
        half_steps: the share by the first half of each run's steps: where it is another, so will
            that of twice the steps be, and nothing here bounds by how much.
        rounding: the part of Σ|λ| within 1e-6 max|λ| of 0, on whose sign rounding decides.
        size: P.
        num_probes: probes.
        level: nominal coverage.
    """

    share: float
    lower: float | None
    upper: float | None
    half_steps: float
    rounding: float
    size: int
    num_probes: int
    level: float


def negative_share(spectrum: Spectrum, level: float = LEVEL) -> NegativeShare:
    """Return which part of Σ|λ| the negative eigenvalues have.

    Resolved eigenvalues count 1/P each, see :func:`spectra.resolve`, so that probes decide only how
    much the rest adds. The interval is Student's t around the ratio of the means, with the variance
    of the jackknife over the probes; of 2 probes it is wide. It does not hold what quadrature
    misses: |λ| has a kink at 0, and most eigenvalues of a network lie there; see ``half_steps``.

    Cost: none of products.

    Args:
        spectrum: raw quadrature.
        level: of coverage, 0 < level < 1.

    Source: the measure is the L1 energy of negative eigenvalues of Ghorbani, Krishnan & Xiao 2019;
    the interval is ours.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 3, 81).double()))
        >>> 0.08 < spectra.negative_share(spectra.slq(H, num_steps=81)).share < 0.12
        True
    """
    check_level(level)
    parts = _parts(spectrum)
    count = len(parts)
    lower = upper = None
    if count > 1:
        shares = np.array([_share(np.delete(parts, k, axis=0)) for k in range(count)])
        variance = (count - 1) / count * float(((shares - shares.mean()) ** 2).sum())
        reach = float(stdtrit(count - 1, (1 + level) / 2)) * variance**0.5
        lower, upper = max(0.0, _share(parts) - reach), min(1.0, _share(parts) + reach)
    halves = tuple(t.leading(max(1, len(t) // 2)) for t in spectrum.probes)
    whole = float(parts[:, 2].sum())
    return NegativeShare(
        share=_share(parts),
        lower=lower,
        upper=upper,
        half_steps=_share(_parts(replace(spectrum, probes=halves))),
        rounding=float(parts[:, 1].sum()) / whole if whole else 0.0,
        size=spectrum.size,
        num_probes=count,
        level=level,
    )


def _share(parts: FloatArray) -> float:
    """Return the ratio of the sums over the probes, of negative ones over all."""
    whole = float(parts[:, 2].sum())
    return float(parts[:, 0].sum()) / whole if whole else 0.0


def _parts(spectrum: Spectrum) -> FloatArray:
    """Return Σ|λ| / P by each probe: of negative ones, of those near 0, of all; (probes, 3)."""
    found = resolve(spectrum)
    size, zero = np.abs(found.values) / spectrum.size, spectrum.zero
    known = [size[found.values < -zero].sum(), 0.0, size.sum()]
    rows = []
    for rule in found.rest:
        mass = found.rest_mass * rule.weights * np.abs(rule.nodes)
        near = np.abs(rule.nodes) <= zero
        rows.append([mass[(rule.nodes < 0) & ~near].sum(), mass[near].sum(), mass.sum()])
    return np.array(known) + np.array(rows)
