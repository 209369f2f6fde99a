"""The symlog-log plane that densities are drawn in, and the curve sampled for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from figures.style.sheet import Sheet
from figures.style.ticks import plain_number
from spectra import InputError, ResolvedSpectrum, Spectrum
from spectra.krylov.tridiagonal import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As in the paper's code, which draws density + 1e-7 on an axis from 1e-7 to 10.
FLOOR = 1e-7
CEILING = 10.0
# Samples a standard deviation, ours: a peak is missed by at most 0.5 % of its height.
_PER_SIGMA = 5
_FINEST = 1e-9  # ours: samples around the largest node are then told apart in float64
_WIDE = 1e4
_REACH = 7  # standard deviations; a bell is 2e-11 of its height there


@dataclass(frozen=True)
class Window:
    """What the plane shows.

    Attributes:
        half: the eigenvalue axis runs from -half to half.
        linear: it is linear between -linear and linear.
        top: upper end of the density axis.
        sigma: smoothing, eigenvalue units.
    """

    half: float
    linear: float
    top: float
    sigma: float

    def axis_label(self, sheet: Sheet) -> str:
        """Return what stands below the eigenvalue axis; its unit if there is room for it."""
        unit = "" if sheet.narrow else " (loss / parameter²)"
        return f"eigenvalue{unit}; log scale, linear within ±{plain_number(self.linear)}"

    @classmethod
    def around(
        cls,
        extremes: Sequence[float],
        peak: Callable[[float], float],
        *,
        sigma: float,
        xlim: float | None,
    ) -> Window:
        """Choose a window that holds every curve: symmetric, its ends powers of ten.

        Symmetric, ours, so that λmin and λmax can be compared by eye; linear within a power of
        ten of at least 3σ, so that the bulk at 0 has its true shape.

        Args:
            extremes: what the eigenvalue axis holds.
            peak: returns how high the curves are for a σ; asked once σ is known to be right.
            sigma: smoothing, eigenvalue units.
            xlim: half-width of the eigenvalue axis, in place of the power of ten.
        """
        if not (sigma > 0 and math.isfinite(sigma)):
            raise InputError(f"sigma must be positive and finite, got {sigma}")
        if xlim is not None and not (xlim > 0 and math.isfinite(xlim)):
            raise InputError(f"xlim must be positive and finite, got {xlim}")
        largest = max(abs(float(v)) for v in extremes)
        if sigma < _FINEST * largest:
            raise InputError(
                f"sigma must be at least {_FINEST * largest:.1g}, a billionth of the largest "
                f"|eigenvalue|, for its bells to be sampled, got {sigma}"
            )
        linear = _power_of_ten(3 * sigma)
        half = xlim if xlim is not None else max(10 * linear, _power_of_ten(1.1 * largest))
        top = max(CEILING, _power_of_ten(peak(sigma)))
        return cls(half, min(linear, half / 10), top, sigma)


def density_curve(
    spectrum: Spectrum | ResolvedSpectrum, sigma: float, *, ends: tuple[float, ...] = ()
) -> tuple[FloatArray, FloatArray]:
    """Sample the smoothed density where it is not zero: finely around every node.

    A grid even in the eigenvalue, or in its symlog, steps over the peaks of single eigenvalues.

    Args:
        spectrum: raw quadrature, or what is resolved of one: then the curve is that of the rest.
        sigma: standard deviation of the Gaussian, eigenvalue units.
        ends: further places to evaluate.

    Returns:
        Eigenvalues, rising, and the density there; straight lines between them integrate to 1,
        or to (P - k) / P.
    """
    if isinstance(spectrum, ResolvedSpectrum):
        nodes, density = spectrum.rest_nodes, spectrum.rest_density
    else:
        nodes, density = spectrum.nodes, spectrum.density
    step = sigma / _PER_SIGMA
    around = np.arange(-_REACH * _PER_SIGMA, _REACH * _PER_SIGMA + 1)
    lattice = np.unique(np.round(nodes / step)[:, None] + around) * step
    grid = np.unique(np.concatenate([lattice, np.asarray(ends, dtype=np.float64)]))
    # A block is at most some 10 MB, however many probes there are.
    blocks = np.array_split(grid, 1 + len(grid) * len(nodes) // 1_000_000)
    return grid, np.concatenate([density(block, sigma) for block in blocks])


def stem_height(size: int, sigma: float) -> float:
    """Return how high the bell of one eigenvalue of ``size`` is: 1 / (P σ √2π)."""
    return 1 / (size * sigma * math.sqrt(2 * math.pi))


def set_spectral_axes(ax: Axes, window: Window, *, every: int) -> None:
    """Set scales, limits and ticks; ``every`` n-th power of ten is labelled on the x axis."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    ax.set_xscale("symlog", linthresh=window.linear, linscale=1.0)
    ax.set_yscale("log")
    ax.set_xlim(-window.half, window.half)
    ax.set_ylim(FLOOR, window.top)
    first = math.floor(math.log10(window.half) + 1e-9)
    last = round(math.log10(window.linear))
    powers = [10.0**k for k in range(first, last - 1, -1)]
    if window.half >= _WIDE:
        every *= 2  # their labels take twice the room
    thinned = powers if len(powers) < 3 else powers[:: every * (1 + (len(powers) - 1) // 5)]
    ax.xaxis.set_major_locator(FixedLocator([*(-p for p in thinned), 0.0, *thinned]))
    ax.xaxis.set_minor_locator(FixedLocator([*(-p for p in powers), *powers]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: plain_number(v)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    decades = range(round(math.log10(FLOOR)), round(math.log10(window.top)) + 1)
    ax.yaxis.set_major_locator(FixedLocator([10.0**k for k in decades if k % 2]))
    ax.yaxis.set_minor_locator(FixedLocator([10.0**k for k in decades]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: plain_number(v)))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _power_of_ten(value: float) -> float:
    """Return the smallest power of ten that is at least ``value``; 1e-12 for 0."""
    return float(10.0 ** math.ceil(math.log10(max(value, 1e-12)) - 1e-9))
