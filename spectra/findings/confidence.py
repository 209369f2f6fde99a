"""Intervals: for a density from its random probes, for curvatures from their images."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq
from scipy.special import chdtr
from scipy.stats import beta as beta_distribution
from torch import Tensor

from spectra.errors import InputError
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

LEVEL = 0.95


@dataclass(frozen=True)
class Band:
    """A pointwise interval around a smoothed density.

    Attributes:
        lower, mean, upper: the shape of the grid, 1 / eigenvalue units; ``mean`` is what is drawn.
        level: nominal coverage at each point by itself, not of the whole curve.
    """

    lower: FloatArray
    mean: FloatArray
    upper: FloatArray
    level: float


@dataclass(frozen=True)
class Interval:
    """A number with its interval.

    Attributes:
        lower, estimate, upper: in the units of the number.
        level: nominal coverage.
    """

    lower: float
    estimate: float
    upper: float
    level: float


@dataclass(frozen=True)
class ImageBootstrap:
    """What the extremes would be for other images of the same class.

    Attributes:
        smallest: of λmin, loss / parameter².
        largest: of λmax.
        ratio: of |λmin / λmax|.
    """

    smallest: Interval
    largest: Interval
    ratio: Interval


def density_band(spectrum: Spectrum, grid: FloatArray, sigma: float, level: float = LEVEL) -> Band:
    """Return a pointwise band for ``spectrum.density(grid, sigma)`` around the exact density.

    One probe gives vᵀg(H)v, g the Gaussian at a grid point, with the mean m = tr g / P and the
    variance 2 / (P + 2) · (tr g² / P - m²): nearly u χ²_ν, where u = variance / 2m is what one
    eigenvalue adds and ν = m / u about the number of those that share the point. u comes from the
    same quadrature (tr g² / P is Σ w g²), from K >= 3 on also from the variance between the probes;
    the larger one serves. The ends are u ν for the ν under which a mean of K probes so high, or so
    low, is as unlikely as ``level`` allows. With ν from the draw itself, a draw that is too low is
    taken for too sure: 87 to 91 % at a lone eigenvalue where 95 % is nominal.

    The band is of the probes alone. It knows nothing of a quadrature with too few nodes for
    ``sigma``, nor of rounding.

    Args:
        spectrum: of probes that are uniform on the sphere (``probe="normal"``).
        grid: where, any shape, eigenvalue units.
        sigma: standard deviation of the Gaussian, > 0, chosen without looking at the probes.
        level: of coverage, 0 < level < 1.

    Raises:
        InputError: other probes, for which this variance does not hold; a number out of range.

    Source: ours. The variance is that of a quadratic form on the sphere; the degrees of freedom
    are matched as by Satterthwaite 1946.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 3, 100).double()))
        >>> band = spectra.density_band(spectra.slq(H), [0.0, 1.0], sigma=0.5)
        >>> bool((band.lower < band.mean).all() and (band.mean < band.upper).all())
        True
    """
    _check(spectrum, level)
    mean = spectrum.density(grid, sigma)
    points = np.asarray(grid, dtype=np.float64)[..., None]
    each, squares = [], []
    for t in spectrum.probes:
        bells = np.exp(-0.5 * ((points - t.ritz_values()) / sigma) ** 2)
        bells /= sigma * math.sqrt(2 * math.pi)
        each.append(bells @ t.quadrature_weights())
        squares.append(bells**2 @ t.quadrature_weights())
    variance = 2 / (spectrum.size + 2) * (np.mean(squares, axis=0) - mean**2)
    if len(each) >= 3:
        variance = np.maximum(variance, np.var(each, axis=0, ddof=1))
    # Where all eigenvalues share the point, or none is near, the variance is 0 up to rounding.
    least = 1e-12 * mean**2 + np.finfo(np.float64).tiny
    drawn = np.asarray(len(each) * 2 * mean**2 / np.maximum(variance, least))
    tail = (1 - level) / 2
    lower, upper = (
        mean * np.divide(_freedom(drawn, p), drawn, out=np.zeros_like(drawn), where=drawn > 0)
        for p in (1 - tail, tail)
    )
    return Band(lower=lower, mean=mean, upper=upper, level=level)


def negative_mass(
    spectrum: Spectrum, threshold: float | None = None, level: float = LEVEL
) -> Interval:
    """Return the fraction of eigenvalues below ``threshold``, with an interval.

    What a probe has there, Σ c² over k eigenvectors, is Beta(k/2, (P-k)/2); the mean of K probes is
    taken for Beta(Kk/2, K(P-k)/2), exact for one, and solved for k. A step being no polynomial,
    quadrature does not see that sum but bounds it from both sides (Gauss-Radau at the threshold;
    Chebyshev, Markov, Stieltjes): the lower end comes from the lower bound, the upper from the
    upper one, so many eigenvalues at the threshold show as a wide interval.

    Args:
        spectrum: of probes that are uniform on the sphere.
        threshold: eigenvalue units; None: -1e-6 of the largest |node|.
        level: of coverage, 0 < level < 1.

    Returns:
        The interval around the Gauss weights below the threshold, as fractions of P.

    Raises:
        InputError: other probes; a number out of range.

    Source: ours; for the bounds Golub & Meurant, Matrices, Moments and Quadrature, 2010, chapter 6.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 3, 100).double()))
        >>> found = spectra.negative_mass(spectra.slq(H, num_probes=4))
        >>> 0 < found.lower <= 0.25 <= found.upper < 0.5
        True
    """
    _check(spectrum, level)
    if threshold is None:
        threshold = -spectrum.zero
    low, high = np.mean([_mass_bounds(t, threshold) for t in spectrum.probes], axis=0)
    tail = (1 - level) / 2
    return Interval(
        lower=_fraction(float(low), spectrum, 1 - tail),
        estimate=float(spectrum.weights[spectrum.nodes < threshold].sum()),
        upper=_fraction(float(high), spectrum, tail),
        level=level,
    )


def image_bootstrap(
    curvatures_min: Tensor,
    curvatures_max: Tensor,
    weights: Tensor | None = None,
    *,
    replicates: int = 1000,
    generator: torch.Generator,
    level: float = LEVEL,
) -> ImageBootstrap:
    """Return percentile intervals of λmin, λmax and their ratio over other draws of the images.

    To first order an eigenvalue of a mean over images is the mean of the curvatures yᵀH_i y along
    its eigenvector y, which is held fixed; images are drawn with replacement, each with its weight,
    and Σ w_i yᵀH_i y / Σ w_i is taken of what was drawn. For a small class.
    Second order is left out: the eigenvectors of other images differ, and their λmin lies lower and
    λmax higher than these means.

    Args:
        curvatures_min: yᵀH_i y along y of λmin, shape (n,), n >= 2, without w_i.
        curvatures_max: yᵀH_i y along y of λmax, for the same images, shape (n,).
        weights: w_i >= 0, shape (n,); None: equal.
        replicates: draws; ours: 1000 puts some 25 beyond each end of a 95 % interval.
        generator: explicit source of randomness, on the CPU.
        level: of coverage, 0 < level < 1.

    Raises:
        InputError: shapes differ, or a number is out of range.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Example:
        >>> low, high = torch.tensor([-2.0, -1.0, -3.0]), torch.tensor([9.0, 8.0, 10.0])
        >>> found = spectra.image_bootstrap(low, high, generator=spectra.make_generator(0))
        >>> found.smallest.estimate, found.smallest.lower < -2 < found.smallest.upper
        (-2.0, True)
    """
    shapes = tuple(curvatures_min.shape), tuple(curvatures_max.shape)
    if len(shapes[0]) != 1 or shapes[0] != shapes[1] or shapes[0][0] < 2:
        raise InputError(f"curvatures must both have shape (n,), n >= 2, got {shapes}")
    w = torch.ones(shapes[0]) if weights is None else weights.detach().cpu()
    if w.shape != shapes[0] or not (w >= 0).all() or not w.sum() > 0:
        raise InputError(f"weights must have shape {shapes[0]}, be >= 0 and not all 0, got {w}")
    if replicates < 2:
        raise InputError(f"replicates must be at least 2, got {replicates}")
    _check_level(level)
    q = torch.stack([curvatures_min, curvatures_max]).detach().double().cpu()
    n, w = q.shape[1], w.double()
    draws = torch.randint(0, n, (replicates, n), generator=generator)
    drawn = w[draws].sum(1)  # 0 where only images without weight were drawn: those say nothing
    draws, drawn = draws[drawn > 0], drawn[drawn > 0]
    low, high = (np.asarray((w * row)[draws].sum(1) / drawn) for row in q)
    mean = ((w * q).sum(1) / w.sum()).tolist()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(low / high)
    found = abs(mean[0] / mean[1]) if mean[1] else math.nan

    def interval(estimate: float, values: FloatArray) -> Interval:
        ends = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(ends[0]), estimate, float(ends[1]), level)

    return ImageBootstrap(interval(mean[0], low), interval(mean[1], high), interval(found, ratios))


def _freedom(x: FloatArray, quantile: float) -> FloatArray:
    """Return ν such that each ``x`` >= 0 is the ``quantile`` of χ²_ν.

    As scipy.special.chdtriv, which is NaN at 0 and from some 1e12 on.
    """
    # Far from 0, χ²_ν is normal, with ν within a dozen standard deviations of x.
    low, high = np.maximum(x - 12 * np.sqrt(2 * x) - 100, 0.0), x + 12 * np.sqrt(2 * x) + 100
    for _ in range(100):
        middle = (low + high) / 2
        too_few = chdtr(middle, x) > quantile
        low, high = np.where(too_few, middle, low), np.where(too_few, high, middle)
    return (low + high) / 2


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


def _fraction(mass: float, spectrum: Spectrum, quantile: float) -> float:
    """Return k / P such that ``mass`` is the ``quantile`` of the mean over probes of k squares."""
    if mass <= 0 or mass >= 1:
        return min(max(mass, 0.0), 1.0)
    half, size = len(spectrum.probes) / 2, spectrum.size

    def excess(k: float) -> float:
        return float(beta_distribution.cdf(mass, half * k, half * (size - k))) - quantile

    least, most = 1e-9, size * (1 - 1e-12)
    if excess(least) <= 0:
        return 0.0
    if excess(most) >= 0:
        return 1.0
    return float(brentq(excess, least, most)) / size


def _check(spectrum: Spectrum, level: float) -> None:
    if spectrum.probe != "normal":
        raise InputError(
            f"bands need probes that are uniform on the sphere, got {spectrum.probe!r}; use "
            'probe="normal"'
        )
    _check_level(level)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level}")
