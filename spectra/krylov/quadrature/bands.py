"""Pointwise bands around a smoothed density, where its probes and steps can carry one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtr

from spectra.krylov.quadrature.intervals import LEVEL, check_level, check_uniform
from spectra.krylov.quadrature.resolved import ResolvedSpectrum, bells, resolve
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

Bools = npt.NDArray[np.bool_]

# Ours, measured in tests/krylov/test_bands.py. Fewer squares than this at a point, over all probes,
# and which eigenvalues are in the rest depends on their weights.
_FEWEST_SQUARES = 24
# Ours: nodes further apart than this many σ leave the smoothed density to chance, but for a node
# whose residual is this small a part of σ: it stands where the eigenvalues are.
_WIDEST_GAP, _EXACT = 2.0, 0.01
# Ours: what the last step still changed, within σ of the point, relative to half the band.
_UNSETTLED = 0.5
# Ours: a bell is 2e-11 of its height there.
_REACH = 7.0
_AT_ONCE = 1_000_000  # entries of an array: 8 MB


@dataclass(frozen=True)
class Band:
    """A pointwise interval around a smoothed density.

    Attributes:
        lower, mean, upper: the shape of the grid, 1 / eigenvalue units; ``mean`` is what is drawn.
            Both ends are NaN where no band is given.
        level: nominal coverage at each point by itself, not of the whole curve.
    """

    lower: FloatArray
    mean: FloatArray
    upper: FloatArray
    level: float

    @property
    def given(self) -> Bools:
        """Whether there is a band, booleans of the shape of the grid."""
        return np.isfinite(self.lower)


def density_band(spectrum: Spectrum, grid: FloatArray, sigma: float, level: float = LEVEL) -> Band:
    """Return a pointwise band for the exact smoothed density, where one can be given.

    That of the rest, see :func:`rest_band`, and the bells of the resolved eigenvalues, which are
    uncertain by where their eigenvalues lie alone. Beyond the rest, the bells are the band.

    Args:
        spectrum: of probes that are uniform on the sphere (``probe="normal"``).
        grid: where, any shape, eigenvalue units.
        sigma: standard deviation of the Gaussian, > 0, chosen without looking at the probes.
        level: of coverage, 0 < level < 1.

    Returns:
        The band around ``resolve(spectrum).density(grid, sigma)``; NaN where none is given.

    Raises:
        InputError: other probes, for which its variance does not hold; a number out of range.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 3, 100).double()))
        >>> band = spectra.density_band(spectra.slq(H), [0.0, 1.0], sigma=0.5)
        >>> bool((band.lower < band.mean).all() and (band.mean < band.upper).all())
        True
    """
    found = resolve(spectrum)
    rest = rest_band(found, grid, sigma, level)
    points = np.asarray(grid, dtype=np.float64)
    far = np.abs(points[..., None] - found.values)
    nearest = bells(np.maximum(far - found.errors, 0.0), np.zeros(1), sigma)[..., 0]
    furthest = bells(far + found.errors, np.zeros(1), sigma)[..., 0]
    beyond = _beyond(found, points, sigma)
    return Band(
        lower=np.where(beyond, 0.0, rest.lower) + furthest.sum(-1) / found.size,
        mean=found.density(grid, sigma),
        upper=np.where(beyond, rest.mean, rest.upper) + nearest.sum(-1) / found.size,
        level=level,
    )


def rest_band(
    found: ResolvedSpectrum, grid: FloatArray, sigma: float, level: float = LEVEL
) -> Band:
    """Return a pointwise band for the exact smoothed density of what is not resolved.

    One probe gives vᵀg(H)v, g the Gaussian at a grid point, with the mean m = tr g / n over the n
    eigenvalues of the rest and the variance 2 / (n + 2) · (tr g² / n - m²): nearly u χ²_ν, where
    u = variance / 2m is what one eigenvalue adds and ν = m / u about the number of those that share
    the point. u comes from the same quadrature (tr g² / n is Σ w g²), from K >= 3 on also from the
    variance between the probes; the larger one serves. The ends are u ν for the ν under which a
    mean of K probes so high, or so low, is as unlikely as ``level`` allows.

    No band is given where K ν < 24, where nodes of a run are further than 2 σ apart, where the last
    step still changed the density by half the band's half-width, and outside the nodes of a run:
    quadrature then errs by more than the probes do, and nothing says by how much.

    Args:
        found: of probes that are uniform on the sphere.
        grid: where, any shape, eigenvalue units.
        sigma: standard deviation of the Gaussian, > 0, chosen without looking at the probes.
        level: of coverage, 0 < level < 1.

    Returns:
        The band around ``found.rest_density(grid, sigma)``; NaN where none is given.

    Raises:
        InputError: other probes; a number out of range.

    Source: ours. The variance is that of a quadratic form on the sphere; the degrees of freedom
    are matched as by Satterthwaite 1946.
    """
    check_uniform(found.source.probe)
    check_level(level)
    points = np.asarray(grid, dtype=np.float64)
    flat = points.reshape(-1)
    nodes = sum(len(t) for t in found.source.probes)
    blocks = np.array_split(flat, 1 + len(flat) * nodes // _AT_ONCE)
    parts = [_band_of_block(found, block, sigma, level) for block in blocks]
    lower, mean, upper = (
        np.concatenate(ends).reshape(points.shape) for ends in zip(*parts, strict=True)
    )
    return Band(lower=lower, mean=mean, upper=upper, level=level)


def _band_of_block(
    found: ResolvedSpectrum, x: FloatArray, sigma: float, level: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return lower end, mean and upper end at ``x`` of shape (n,)."""
    each, squares = [], []
    for rule in found.rest:
        g = bells(x, rule.nodes, sigma)
        each.append(g @ rule.weights)
        squares.append(g**2 @ rule.weights)
    mean = np.mean(each, axis=0)
    variance = 2 / (found.rest_size + 2) * (np.mean(squares, axis=0) - mean**2)
    if len(each) >= 3:
        variance = np.maximum(variance, np.var(each, axis=0, ddof=1))
    # Where all eigenvalues share the point, or none is near, the variance is 0 up to rounding.
    least = 1e-12 * mean**2 + np.finfo(np.float64).tiny
    drawn = np.asarray(len(each) * 2 * mean**2 / np.maximum(variance, least))
    given = (drawn >= _FEWEST_SQUARES) & _between_nodes(found, x, sigma)
    lower, upper = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    tail = (1 - level) / 2
    for end, p in ((lower, 1 - tail), (upper, tail)):
        end[given] = found.rest_mass * mean[given] * _freedom(drawn[given], p) / drawn[given]
    given[given] = (
        _last_change(found.source, x[given], sigma)
        <= _UNSETTLED * (upper[given] - lower[given]) / 2
    )
    lower[~given] = upper[~given] = np.nan
    return lower, found.rest_mass * mean, upper


def _between_nodes(found: ResolvedSpectrum, x: FloatArray, sigma: float) -> Bools:
    """Say where every run has nodes of the rest on both sides, near enough for σ."""
    right = np.ones(len(x), dtype=bool)
    for t, rule in zip(found.source.probes, found.rest, strict=True):
        if not len(rule.nodes):
            return np.zeros(len(x), dtype=bool)
        values, residuals = t.ritz_values(), t.residual_bounds()
        at = np.clip(np.searchsorted(values, x), 1, max(len(values) - 1, 1))
        gaps = np.diff(values, append=np.inf)
        near = np.abs(x[:, None] - values) <= 5 * sigma
        # As for runs that know no residuals: NaN is not small.
        vague = ~(residuals <= _EXACT * sigma)
        exact = near.any(1) & ~(near & vague).any(1)
        inside = (x >= rule.nodes[0]) & (x <= rule.nodes[-1])
        right &= exact | (inside & (gaps[at - 1] <= _WIDEST_GAP * sigma))
    return right


def _last_change(spectrum: Spectrum, x: FloatArray, sigma: float) -> FloatArray:
    """Return by how much the last step changed the density within σ, the mean over the probes."""
    changes = np.zeros(len(x))
    for t in spectrum.probes:
        if t.closed or len(t) < 2:
            continue
        before = t.leading(len(t) - 1)
        changes += np.max(
            [
                np.abs(_summed(t, x + shift, sigma) - _summed(before, x + shift, sigma))
                for shift in (-sigma, 0.0, sigma)
            ],
            axis=0,
        )
    return changes / len(spectrum.probes)


def _summed(t: Tridiagonal, x: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(bells(x, t.ritz_values(), sigma) @ t.quadrature_weights())


def _beyond(found: ResolvedSpectrum, points: FloatArray, sigma: float) -> Bools:
    """Say where no bell of the rest reaches."""
    ends = found.rest_ends
    if ends is None:
        return np.ones(points.shape, dtype=bool)
    return (points < ends[0] - _REACH * sigma) | (points > ends[1] + _REACH * sigma)


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
