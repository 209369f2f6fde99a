"""Spectral densities on the paper's axes: symlog eigenvalues, log density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from figures.style.class_colours import GROUP_COLOURS, class_styles, counts_of
from figures.style.colours import (
    COLUMN_WIDTH,
    TEXT_WIDTH,
    house_style,
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
from figures.style.density_panel import DrawnDensity, draw_density, write_block
from figures.style.names import drawn_name
from figures.style.page import finish_page, new_page
from figures.style.spectral_axes import Window, set_spectral_axes
from spectra import Analysis, InputError, LossAnalysis, Spectrum
from spectra.results.provenance import AnalysisProtocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL_HEIGHT = 2.5  # inches, with its six lines of numbers
_BAND = "band: 95 % at each point by itself, over the random probes, where the steps carry one"
_STEMS = (
    "Stems: resolved eigenvalues, 1/P each, as high as their Gaussian (bar: residual); curve: the "
    "rest of the P eigenvalues, whose nodes lie between the ticks on the axis"
)
_HOLLOW = (
    "Hollow marks, ≤\u00a0and\u00a0≥: not known to have converged, so λmin may be lower, λmax "
    "higher."
)

_NO_MASS = "Crosses: nodes that carry no mass, of the 1/P of an eigenvalue: they belong to none."
_NO_MATRIX = "Hollow marks: Ritz values of products that change, of no matrix."


def plot_density(
    spectrum: Spectrum | LossAnalysis | Mapping[str, Spectrum | LossAnalysis],
    *,
    sigma: float | None = None,
    summed: bool = False,
    axes: Axes | None = None,
    title: str | None = None,
    xlim: float | None = None,
    protocol: AnalysisProtocol | None = None,
    class_counts: Sequence[int] = (),
) -> Figure:
    """Draw one density, or several on one axis, with λmin and λmax marked.

    No operator is needed: the raw quadrature is smoothed anew.

    Args:
        spectrum: a spectrum (its extreme Ritz values are marked), a record (its verified extremes
            are), or several by name.
        sigma: standard deviation of the Gaussian, eigenvalue units; by default the largest
            :meth:`Spectrum.reference_sigma` of what is drawn, one for all.
        summed: draw one curve of all eigenvalues, resolved or not, as older figures have it,
            instead of stems and a curve of the rest (:func:`spectra.resolve`).
        axes: draw here, without caption or legend of the page's own; by default on a new figure.
        title: of the axis.
        xlim: half-width of the eigenvalue axis; by default the power of ten that holds every
            extreme (100 in the paper).
        protocol: of the result file, for the caption.
        class_counts: training images of each class of the network, for the colours of densities
            that are named by class; see :func:`figures.class_colours`.
    """
    several = isinstance(spectrum, Mapping)
    given = spectrum if isinstance(spectrum, Mapping) else {"": spectrum}
    if not given:
        raise InputError("there is no spectrum to draw; give at least one")
    drawn = {name: DrawnDensity.of(source, summed=summed) for name, source in given.items()}
    with house_style():
        if all(name in GROUP_COLOURS or name.isdigit() for name in drawn):
            styles = class_styles(list(drawn), class_counts)
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
            line = draw_density(ax, one, styles[name], window, fill=not several)
            line.set_label(f"{label_text(name)}: {one.extremes_text()}" if several else "density")
            lines.append(line)
        ax.set_xlabel("eigenvalue (loss / parameter²)")
        ax.set_ylabel("density + 1e−7")
        write_block(ax, [] if several else drawn[""].block(), heading=title)
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
    summed: bool = False,
    xlim: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the densities of several losses of one checkpoint side by side on common axes.

    Each panel states images, loss, λmin, λmax, their ratio, ‖g‖ and the verdict.

    Args:
        analysis: one result.
        labels: which of its records, from left to right.
        sigma: see :func:`plot_density`; one for all panels.
        summed: see :func:`plot_density`.
        xlim: see :func:`plot_density`.
        title: above the panels.
    """
    return density_grid({"": analysis}, labels, sigma=sigma, summed=summed, xlim=xlim, title=title)


def density_grid(
    rows: Mapping[str, Analysis],
    labels: Sequence[str],
    *,
    sigma: float | None = None,
    summed: bool = False,
    xlim: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one row of densities for each result (without and with SAM, say) on common axes.

    Up to three labels fit the text width of a paper; more make the page wider.

    Args:
        rows: results by the name of their row.
        labels: the records that make the columns.
        sigma: see :func:`plot_density`; one for all panels.
        summed: see :func:`plot_density`.
        xlim: see :func:`plot_density`.
        title: above the panels.

    Raises:
        InputError: a record is missing, or the results are of different losses.
    """
    if not rows or not labels:
        raise InputError("density_grid needs at least one result and one label")
    require_comparable(rows.items())
    table = [
        [DrawnDensity.of(r, summed=summed) for r in find_records(a, labels)] for a in rows.values()
    ]
    cells = [one for line in table for one in line]
    width = max(COLUMN_WIDTH, TEXT_WIDTH / 3 * len(labels))
    with house_style():
        styles = class_styles(labels, counts_of(rows.values()))
        window = _window(cells, sigma, xlim)
        fig = new_page(width, _PANEL_HEIGHT * len(rows))
        grid = fig.subplots(len(rows), len(labels), sharex=True, sharey=True, squeeze=False)
        for axes, line, name in zip(grid, table, rows, strict=True):
            for ax, one, label in zip(axes, line, labels, strict=True):
                set_spectral_axes(ax, window, every=2)
                draw_density(ax, one, styles[label], window, fill=True)
                heading = f"{drawn_name(name)}, {label_text(label)}" if name else label_text(label)
                write_block(ax, one.block(), heading=heading)
            axes[0].set_ylabel("density + 1e−7")
        for ax in grid[-1]:
            ax.set_xlabel("eigenvalue (loss / parameter²)")
        protocol = next(iter(rows.values())).protocol
        caption = _caption(cells, window, protocol, chosen=sigma is not None)
        return finish_page(fig, caption=caption, title=title)


def _window(drawn: Sequence[DrawnDensity], sigma: float | None, xlim: float | None) -> Window:
    width = sigma if sigma is not None else max(d.spectrum.reference_sigma() for d in drawn)
    extremes = [v for d in drawn for v in (d.low, d.high, *d.spectrum.nodes[[0, -1]])]
    return Window.around(extremes, lambda s: max(d.peak(s) for d in drawn), sigma=width, xlim=xlim)


def _caption(
    drawn: Sequence[DrawnDensity], window: Window, protocol: AnalysisProtocol, *, chosen: bool
) -> str:
    rule = "" if chosen else " = √(1e−5·max(1,\u00a0range))"
    if not chosen and len(drawn) > 1:
        rule += " of the widest range"
    parts = [
        f"Gaussian smoothing, σ\u00a0=\u00a0{number(window.sigma)}{rule}",
        solver_text([d.spectrum for d in drawn]),
        _BAND if any(d.found is not None and d.spectrum.probe == "normal" for d in drawn) else "",
        protocol_text(protocol),
    ]
    text = "; ".join(part for part in parts if part) + "."
    if any(d.found is not None and len(d.found) for d in drawn):
        text = f"{_STEMS}. {text}"
    if any(d.ends.massless for d in drawn):
        text = f"{text} {_NO_MASS}"
    if any(d.record is not None and d.record.noise is not None for d in drawn):
        return f"{text} {_NO_MATRIX}"
    return text if all(d.certain for d in drawn) else f"{text} {_HOLLOW}"
