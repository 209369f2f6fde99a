"""Spectral densities on the paper's axes: symlog eigenvalues, log density."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from figures.style.colours import (
    COLUMN_WIDTH,
    FONT_SIZE,
    ROLE_COLOURS,
    TEXT_WIDTH,
    SeriesStyle,
    house_style,
    label_styles,
    series_styles,
)
from figures.style.comparable import (
    find_records,
    label_text,
    number,
    protocol_text,
    require_comparable,
    solver_text,
)
from figures.style.page import finish_page, new_page
from figures.style.spectral_axes import FLOOR, Window, density_curve, set_spectral_axes
from spectra import Analysis, InputError, LossAnalysis, Spectrum, density_band
from spectra.findings.verdict import NOT_THE_HESSIAN
from spectra.results.provenance import AnalysisProtocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_PANEL_HEIGHT = 2.35  # inches, with its five lines of numbers
_LONGEST_LINE = 33  # letters above a panel; ours
_BAND = "band: 95 % at each point by itself, over the random probes"
_HOLLOW = (
    "Hollow marks, ≤\u00a0and\u00a0≥: not known to have converged, so λmin may be lower, λmax "
    "higher."
)

_NO_MATRIX = "Hollow marks: Ritz values of products that change, of no matrix."


@dataclass(frozen=True)
class _Drawn:
    """One curve: a bare spectrum, or a record with its verified extremes."""

    spectrum: Spectrum
    low: float
    high: float
    certain: bool
    record: LossAnalysis | None

    @classmethod
    def of(cls, source: Spectrum | LossAnalysis) -> _Drawn:
        if isinstance(source, LossAnalysis):
            certain = bool(source.converged)
            if source.spectrum is None:
                raise InputError(
                    f"{source.label} has no density: it was analyzed for its extremes alone; "
                    "analyze it with --num-probes 2"
                )
            return cls(source.spectrum, source.lambda_min, source.lambda_max, certain, source)
        closed = all(t.closed for t in source.probes)
        return cls(source, float(source.nodes[0]), float(source.nodes[-1]), closed, None)

    def extremes_text(self) -> str:
        fixed = self.record is None or self.record.noise is None
        below, above = ("", "") if self.certain or not fixed else ("≤ ", "≥ ")
        return f"λmin {below}{number(self.low, 4)}   λmax {above}{number(self.high, 4)}"

    def block(self) -> list[str]:
        if self.record is None:
            return [self.extremes_text()]
        r = self.record
        other = r.verdict.name == NOT_THE_HESSIAN
        return [
            f"{r.n:,} images, loss {number(r.loss)}",
            self.extremes_text(),
            ("" if other else f"|λmin/λmax| {number(r.ratio)}   ") + f"‖g‖ {number(r.grad_norm)}",
            "Gauss-Newton matrix" if other else r.verdict.name,
        ]


def plot_density(
    spectrum: Spectrum | LossAnalysis | Mapping[str, Spectrum | LossAnalysis],
    *,
    sigma: float | None = None,
    axes: Axes | None = None,
    title: str | None = None,
    xlim: float | None = None,
    protocol: AnalysisProtocol | None = None,
) -> Figure:
    """Draw one density, or several on one axis, with λmin and λmax marked.

    No operator is needed: the raw quadrature is smoothed anew.

    Args:
        spectrum: a spectrum (its extreme Ritz values are marked), a record (its verified extremes
            are), or several by name.
        sigma: standard deviation of the Gaussian, eigenvalue units; by default the largest
            :meth:`Spectrum.reference_sigma` of what is drawn, one for all.
        axes: draw here, without caption or legend of the page's own; by default on a new figure.
        title: of the axis.
        xlim: half-width of the eigenvalue axis; by default the power of ten that holds every
            extreme (100 in the paper).
        protocol: of the result file, for the caption.
    """
    several = isinstance(spectrum, Mapping)
    given = spectrum if isinstance(spectrum, Mapping) else {"": spectrum}
    if not given:
        raise InputError("there is no spectrum to draw; give at least one")
    drawn = {name: _Drawn.of(source) for name, source in given.items()}
    with house_style():
        if all(name in ROLE_COLOURS or name.isdigit() for name in drawn):
            sizes = {k: d.record.n for k, d in drawn.items() if d.record is not None}
            styles = label_styles(list(drawn), sizes)
        else:
            styles = series_styles(list(drawn))
        window = _window(list(drawn.values()), sigma, xlim)
        fig, ax = None, axes
        if ax is None:
            fig = new_page(COLUMN_WIDTH if not several else 4.5, 2.6)
            ax = fig.add_subplot()
        set_spectral_axes(ax, window, every=1 if several else 2)
        lines = []
        for name, one in drawn.items():
            line = _draw(ax, one, styles[name], window, fill=not several)
            line.set_label(f"{label_text(name)}: {one.extremes_text()}" if several else "density")
            lines.append(line)
        ax.set_xlabel("eigenvalue (loss / parameter²)")
        ax.set_ylabel("density + 1e−7")
        _write_block(ax, [] if several else drawn[""].block(), heading=title)
        if fig is None:
            return ax.get_figure(root=True)  # type: ignore[return-value]
        stated = protocol or AnalysisProtocol()
        caption = _caption(list(drawn.values()), window, stated, chosen=sigma is not None)
        return finish_page(fig, caption=caption, legend=lines if several else ())


def density_panels(
    analysis: Analysis,
    labels: Sequence[str] = ("head", "tail", "overall"),
    *,
    sigma: float | None = None,
    xlim: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the densities of several losses of one checkpoint side by side on common axes.

    Each panel states images, loss, λmin, λmax, their ratio, ‖g‖ and the verdict.

    Args:
        analysis: one result.
        labels: which of its records, from left to right.
        sigma: see :func:`plot_density`; one for all panels.
        xlim: see :func:`plot_density`.
        title: above the panels.
    """
    return density_grid({"": analysis}, labels, sigma=sigma, xlim=xlim, title=title)


def density_grid(
    rows: Mapping[str, Analysis],
    labels: Sequence[str],
    *,
    sigma: float | None = None,
    xlim: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one row of densities for each result (without and with SAM, say) on common axes.

    Up to three labels fit the text width of a paper; more make the page wider.

    Args:
        rows: results by the name of their row.
        labels: the records that make the columns.
        sigma: see :func:`plot_density`; one for all panels.
        xlim: see :func:`plot_density`.
        title: above the panels.

    Raises:
        InputError: a record is missing, or the results are of different losses.
    """
    if not rows or not labels:
        raise InputError("density_grid needs at least one result and one label")
    require_comparable(rows.items())
    table = [[_Drawn.of(r) for r in find_records(a, labels)] for a in rows.values()]
    cells = [one for line in table for one in line]
    sizes = {label: one.record.n for label, one in zip(labels, table[0], strict=True) if one.record}
    width = max(COLUMN_WIDTH, TEXT_WIDTH / 3 * len(labels))
    with house_style():
        styles = label_styles(labels, sizes)
        window = _window(cells, sigma, xlim)
        fig = new_page(width, _PANEL_HEIGHT * len(rows))
        grid = fig.subplots(len(rows), len(labels), sharex=True, sharey=True, squeeze=False)
        for axes, line, name in zip(grid, table, rows, strict=True):
            for ax, one, label in zip(axes, line, labels, strict=True):
                set_spectral_axes(ax, window, every=2)
                _draw(ax, one, styles[label], window, fill=True)
                heading = f"{name}, {label_text(label)}" if name else label_text(label)
                _write_block(ax, one.block(), heading=heading)
            axes[0].set_ylabel("density + 1e−7")
        for ax in grid[-1]:
            ax.set_xlabel("eigenvalue (loss / parameter²)")
        protocol = next(iter(rows.values())).protocol
        caption = _caption(cells, window, protocol, chosen=sigma is not None)
        return finish_page(fig, caption=caption, title=title)


def _window(drawn: Sequence[_Drawn], sigma: float | None, xlim: float | None) -> Window:
    width = sigma if sigma is not None else max(d.spectrum.reference_sigma() for d in drawn)
    extremes = [v for d in drawn for v in (d.low, d.high, *d.spectrum.nodes[[0, -1]])]
    return Window.around([d.spectrum for d in drawn], extremes, sigma=width, xlim=xlim)


def _draw(ax: Axes, one: _Drawn, style: SeriesStyle, window: Window, *, fill: bool) -> Line2D:
    x, y = density_curve(one.spectrum, window.sigma, ends=(-window.half, window.half))
    (line,) = ax.plot(x, y + FLOOR, color=style.colour, linestyle="-" if fill else style.line, lw=1)
    if fill:
        ax.fill_between(x, FLOOR, y + FLOOR, color=style.colour, alpha=0.2, lw=0)
        if one.spectrum.probe == "normal":
            band = density_band(one.spectrum, x, window.sigma)
            ax.fill_between(
                x, band.lower + FLOOR, band.upper + FLOOR, color=style.colour, alpha=0.25, lw=0,
                label="band",
            )  # fmt: skip
    for value, marker, name in ((one.low, "<", "λmin"), (one.high, ">", "λmax")):
        ax.axvline(value, color=style.colour, lw=0.7, ls=":", zorder=1)
        ax.plot(
            [value], [FLOOR], marker=marker, color=style.colour, ls="none", label=name, ms=5.5,
            mfc=style.colour if one.certain else "white", clip_on=False, zorder=5,
        )  # fmt: skip
    return line


def _write_block(ax: Axes, lines: Sequence[str], *, heading: str | None) -> None:
    """Write lines above the panel, evenly spaced whatever their letters, under a bold heading."""
    texts = [(part, "normal") for line in lines for part in _broken(line)]
    if heading:
        texts = [(part, "bold") for part in _broken(heading)] + texts
    for k, (text, weight) in enumerate(reversed(texts)):
        ax.annotate(
            text, (0, 1), (0, 4 + 1.4 * FONT_SIZE * k), xycoords="axes fraction",
            textcoords="offset points", va="baseline", weight=weight, annotation_clip=False,
        )  # fmt: skip


def _broken(line: str) -> list[str]:
    """Return a line in parts that do not reach into the next panel."""
    if len(line) <= _LONGEST_LINE:
        return [line]
    numbers = line.split("   ")
    return numbers if len(numbers) > 1 else textwrap.wrap(line, _LONGEST_LINE)


def _caption(
    drawn: Sequence[_Drawn], window: Window, protocol: AnalysisProtocol, *, chosen: bool
) -> str:
    rule = "" if chosen else " = √(1e−5·max(1,\u00a0range))"
    if not chosen and len(drawn) > 1:
        rule += " of the widest range"
    parts = [
        f"Gaussian smoothing, σ\u00a0=\u00a0{number(window.sigma)}{rule}",
        solver_text([d.spectrum for d in drawn]),
        _BAND if any(d.spectrum.probe == "normal" for d in drawn) else "",
        protocol_text(protocol),
    ]
    text = "; ".join(part for part in parts if part) + "."
    if any(d.record is not None and d.record.noise is not None for d in drawn):
        return f"{text} {_NO_MATRIX}"
    return text if all(d.certain for d in drawn) else f"{text} {_HOLLOW}"
