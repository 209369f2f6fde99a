"""How many eigenvalues lie below a number: a bound, and an estimate with its interval."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq
from scipy.stats import beta as beta_distribution

from spectra.krylov.quadrature.intervals import LEVEL, Interval, check_level, check_uniform
from spectra.krylov.quadrature.resolved import ResolvedSpectrum, resolve
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

# Relative to the largest |node|: what float32 products are wrong by at most on the networks of
# docs/verdicts.md.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class CountBelow:
    """How many eigenvalues lie below a threshold.

    Attributes:
        threshold: eigenvalue units.
        at_least: that many do, whatever the probes: by Cauchy's interlacing theorem a projection
            has no more eigenvalues below a number than its matrix has. It rests on the rounding of
            products being below 1e-4 max|node|, and on an orthonormal basis.
        interval: the estimate from the weights of the probes, in eigenvalues; None for probes that
            are not uniform on the sphere, for which no interval is known.
    """

    threshold: float
    at_least: int
    interval: Interval | None


def count_below(spectrum: Spectrum, threshold: float, level: float = LEVEL) -> CountBelow:
    """Return how many eigenvalues are below ``threshold``: a bound beside the estimate.

    The bound is the larger of two. The most Ritz values that one run has there (0 for another
    engine's run, which does not know its residuals); and the most
    intervals [θ - r, θ + r], of whichever runs, that lie there and have no point in common, since
    each holds an eigenvalue.

    Cost: none of products.

    Args:
        spectrum: raw quadrature.
        threshold: eigenvalue units; -τ λmax for what a verdict counts as negative.
        level: of coverage of the interval, 0 < level < 1.

    Source: Parlett, The Symmetric Eigenvalue Problem, 1980, chapters 10 and 11.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 3, 100).double()))
        >>> found = spectra.count_below(spectra.slq(H, num_probes=4, num_steps=40), -0.01)
        >>> 10 < found.at_least <= 25 <= found.interval.upper
        True
    """
    limit = threshold - _ROUNDING * float(np.abs(spectrum.nodes).max())
    by_one_run = max(
        int((t.ritz_values() < limit).sum()) if np.isfinite(t.residual_beta) else 0
        for t in spectrum.probes
    )
    interval = None
    if spectrum.probe == "normal":
        share = negative_mass(spectrum, threshold, level)
        low, middle, high = (
            end * spectrum.size for end in (share.lower, share.estimate, share.upper)
        )
        interval = Interval(low, middle, high, level)
    taken = spectrum.deflated
    of_taken = 0 if taken is None else int((taken.values + taken.residuals < limit).sum())
    at_least = max(by_one_run, of_taken, _disjoint(spectrum, limit))
    return CountBelow(threshold, at_least, interval)


def negative_mass(
    spectrum: Spectrum, threshold: float | None = None, level: float = LEVEL
) -> Interval:
    """Return the fraction of eigenvalues below ``threshold``, with an interval.

    Resolved eigenvalues are counted (:func:`spectra.resolve`). Of the n others, what a probe has
    there, Σ c² over k eigenvectors, is Beta(k/2, (n-k)/2); the mean of K probes is
    taken for Beta(Kk/2, K(n-k)/2), exact for one, and solved for k. A step being no polynomial,
    quadrature does not see that sum but bounds it from both sides (Gauss-Radau at the threshold;
    Chebyshev, Markov, Stieltjes): the lower end comes from the lower bound, the upper from the
    upper one, so many eigenvalues at the threshold show as a wide interval.

    Args:
        spectrum: of probes that are uniform on the sphere.
        threshold: eigenvalue units; None: -1e-6 of the largest |node|.
        level: of coverage, 0 < level < 1.

    Returns:
        The interval around what resolved eigenvalues and Gauss weights have below the threshold, as
        fractions of P.

    Raises:
        InputError: other probes; a number out of range.

    Source: ours; for the bounds Golub & Meurant, Matrices, Moments and Quadrature, 2010, chapter 6.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 3, 100).double()))
        >>> found = spectra.negative_mass(spectra.slq(H, num_probes=4))
        >>> 0 < found.lower <= 0.25 <= found.upper < 0.5
        True
    """
    check_uniform(spectrum.probe)
    check_level(level)
    if threshold is None:
        threshold = -spectrum.zero
    found = resolve(spectrum)
    bounds = [_mass_bounds(t, threshold) for t in spectrum.probes]
    low, high = np.mean([_of_rest(found, k, b, threshold) for k, b in enumerate(bounds)], axis=0)
    middle = np.mean([rule.weights[rule.nodes < threshold].sum() for rule in found.rest])
    counted, tail = int((found.values < threshold).sum()), (1 - level) / 2

    def fraction(of_rest: float) -> float:
        return (counted + found.rest_size * of_rest) / found.size

    return Interval(
        lower=fraction(_fraction(float(low), found, 1 - tail)),
        estimate=fraction(float(middle)),
        upper=fraction(_fraction(float(high), found, tail)),
        level=level,
    )


def _of_rest(
    found: ResolvedSpectrum, k: int, bounds: tuple[float, float], threshold: float
) -> tuple[float, float]:
    """Return bounds on the part of probe k's rest that is below the threshold."""
    t, rule = found.source.probes[k], found.rest[k]
    if not len(rule.nodes):
        return 0.0, 0.0
    all_below = float(t.quadrature_weights()[t.ritz_values() < threshold].sum())
    rest_below = float(rule.weights[rule.nodes < threshold].sum())
    taken = np.isin(t.ritz_values(), rule.nodes, invert=True)
    mass = 1.0 - float(t.quadrature_weights()[taken].sum())
    resolved_below = all_below - rest_below * mass
    low, high = (min(max((b - resolved_below) / mass, 0.0), 1.0) for b in bounds)
    return min(low, rest_below), max(high, rest_below)


def _disjoint(spectrum: Spectrum, limit: float) -> int:
    """Return the most intervals around Ritz values that end below ``limit`` and do not meet."""
    coupling = 0.0 if spectrum.deflated is None else spectrum.deflated.coupling
    values = np.concatenate([t.ritz_values() for t in spectrum.probes])
    own = np.concatenate([t.residual_bounds() for t in spectrum.probes])
    residuals = np.hypot(own, coupling)
    ends: FloatArray = np.stack([values - residuals, values + residuals])
    margin = _ROUNDING * float(np.abs(spectrum.nodes).max())
    count, last = 0, -math.inf
    for left, right in sorted(ends[:, ends[1] < limit].T.tolist(), key=lambda one: one[1]):
        if left > last + 2 * margin:
            count, last = count + 1, right
    return count


def _mass_bounds(t: Tridiagonal, threshold: float) -> tuple[float, float]:
    """Return a lower and an upper bound on the probe's weight below ``threshold``."""
    values, weights = t.ritz_values(), t.quadrature_weights()
    if t.closed:  # the rule is the measure itself
        mass = float(weights[values < threshold].sum())
        return mass, mass
    # Radau: the α that makes the threshold a node; one right at a Ritz value is that node already.
    gaps = values - threshold
    gaps[gaps == 0] = np.finfo(np.float64).tiny
    with np.errstate(over="ignore"):
        alpha = threshold + float((t.residual_bounds() ** 2 / gaps).sum())
    if not math.isfinite(alpha):
        return float(weights[values < threshold].sum()), float(weights[values <= threshold].sum())
    nodes, vectors = eigh_tridiagonal(
        np.append(t.alphas, alpha), np.append(t.betas, t.residual_beta)
    )
    weights = vectors[0] ** 2
    at = int(np.abs(nodes - threshold).argmin())
    return float(weights[:at].sum()), float(weights[: at + 1].sum())


def _fraction(mass: float, found: ResolvedSpectrum, quantile: float) -> float:
    """Return k / n such that ``mass`` is the ``quantile`` of the mean over probes of k squares."""
    if mass <= 0 or mass >= 1:
        return min(max(mass, 0.0), 1.0)
    half, size = len(found.rest) / 2, found.rest_size

    def excess(k: float) -> float:
        return float(beta_distribution.cdf(mass, half * k, half * (size - k))) - quantile

    least, most = 1e-9, size * (1 - 1e-12)
    if excess(least) <= 0:
        return 0.0
    if excess(most) >= 0:
        return 1.0
    return float(brentq(excess, least, most)) / size
