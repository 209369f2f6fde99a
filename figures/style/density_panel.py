"""One panel of a density: stems, the curve of the rest, its band, and the numbers above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from figures.style.colours import SeriesStyle
from figures.style.comparable import number
from figures.style.sheet import Sheet
from figures.style.spectral_axes import FLOOR, Window, density_curve, stem_height
from spectra import (
    InputError,
    LossAnalysis,
    ResolvedSpectrum,
    Spectrum,
    SpectrumCheck,
    resolve,
    rest_band,
)
from spectra.findings.spectrum_check import LOWER, UPPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_EDGE = 0.09  # of the panel's height: the tick where what is resolved ends
_NOTHING = 1e-3  # of the floor: less than this is no paint


@dataclass(frozen=True)
class DrawnDensity:
    """One curve: a bare spectrum, or a record with its verified extremes.

    Attributes:
        spectrum: raw quadrature.
        found: what of it is resolved; None where all is to be summed into one curve.
        low, high: the extreme eigenvalues; there is no paint beyond them.
        certain: whether they converged.
        record: where the extremes come from, or None.
    """

    spectrum: Spectrum
    found: ResolvedSpectrum | None
    low: float
    high: float
    certain: bool
    record: LossAnalysis | None

    @classmethod
    def of(cls, source: Spectrum | LossAnalysis, *, summed: bool) -> DrawnDensity:
        """Take what is drawn of a spectrum or record; draws that change have no eigenvalues."""
        if isinstance(source, LossAnalysis):
            if source.spectrum is None:
                raise InputError(
                    f"{source.label} has no density: it was analyzed for its extremes alone; "
                    "analyze it with --num-probes 2"
                )
            spectrum, certain = source.spectrum, bool(source.converged)
            low, high = source.lambda_min, source.lambda_max
            summed = summed or source.noise is not None
        else:
            spectrum, certain = source, all(t.closed for t in source.probes)
            low, high = map(float, source.nodes[[0, -1]])
        found = None if summed else resolve(spectrum)
        record = source if isinstance(source, LossAnalysis) else None
        return cls(spectrum, found, low, high, certain, record)

    @property
    def smooth(self) -> Spectrum | ResolvedSpectrum:
        """What the curve is of."""
        return self.spectrum if self.found is None else self.found

    def peak(self, sigma: float) -> float:
        """Return how high curve and stems reach."""
        curve = float(density_curve(self.smooth, sigma)[1].max())
        stems = self.found is not None and len(self.found)
        return max(curve, stem_height(self.spectrum.size, sigma)) if stems else curve

    @property
    def ends(self) -> SpectrumCheck:
        """What mass the outermost nodes carry."""
        return SpectrumCheck.of(self.spectrum)

    def massless_nodes(self) -> list[float]:
        """Return the outermost nodes that belong to no eigenvalue."""
        ends = ((LOWER, self.ends.lowest), (UPPER, self.ends.highest))
        return [end.node for name, end in ends if name in self.ends.massless]

    def extremes_text(self, sheet: Sheet) -> str:
        """Return λmin and λmax, as bounds where they have not converged; in short if narrow."""
        fixed = self.record is None or self.record.noise is None
        below, above = ("", "") if self.certain or not fixed else ("≤ ", "≥ ")
        if sheet.narrow:
            return f"λ {below}{number(self.low, 2)} to {above}{number(self.high, 2)}"
        return f"λmin {below}{number(self.low)}, λmax {above}{number(self.high)}"


def draw_density(
    ax: Axes, one: DrawnDensity, style: SeriesStyle, window: Window, *, fill: bool
) -> Line2D:
    """Draw a density into its panel; return the line of its curve."""
    x, y = density_curve(one.smooth, window.sigma, ends=(one.low, one.high))
    inside = (x >= one.low) & (x <= one.high)
    x, y = x[inside], y[inside]
    y[y < _NOTHING * FLOOR] = np.nan
    (line,) = ax.plot(x, y + FLOOR, color=style.colour, linestyle="-" if fill else style.line, lw=1)
    if fill:
        ax.fill_between(x, FLOOR, y + FLOOR, color=style.colour, alpha=0.2, lw=0)
        if one.found is not None and one.spectrum.probe == "normal":
            band = rest_band(one.found, x, window.sigma)
            ax.fill_between(
                x, band.lower + FLOOR, band.upper + FLOOR, color=style.colour, alpha=0.3, lw=0,
                label="band",
            )  # fmt: skip
    if one.found is not None and len(one.found):
        _draw_stems(ax, one.found, style, window)
    for value, marker, name in ((one.low, "<", "λmin"), (one.high, ">", "λmax")):
        ax.axvline(value, color=style.colour, lw=0.7, ls=":", zorder=1)
        ax.plot(
            [value], [FLOOR], marker=marker, color=style.colour, ls="none", label=name, ms=5.5,
            mfc=style.colour if one.certain else "white", clip_on=False, zorder=5,
        )  # fmt: skip
    for node in one.massless_nodes():
        ax.plot(
            [node], [FLOOR], marker="x", color="black", ls="none", label="no mass", ms=7,
            clip_on=False, zorder=6,
        )  # fmt: skip
    return line


def _draw_stems(ax: Axes, found: ResolvedSpectrum, style: SeriesStyle, window: Window) -> None:
    """Draw each resolved eigenvalue as high as its bell, and where they end."""
    top = stem_height(found.size, window.sigma) + FLOOR
    colour = style.colour
    ax.vlines(found.values, FLOOR, top, color=colour, lw=0.6, zorder=2, label="stems")
    ax.plot(found.values, [top] * len(found), "o", color=colour, ms=1.8, mew=0, label="resolved")
    left, right = found.values - found.residuals, found.values + found.residuals
    ax.hlines([top] * len(found), left, right, color=colour, lw=1.4, alpha=0.6, label="residuals")
    if found.rest_ends is not None:
        ax.vlines(
            found.rest_ends, 0, _EDGE, transform=ax.get_xaxis_transform(), color=colour, lw=1.5,
            label="edges", zorder=4,
        )  # fmt: skip
