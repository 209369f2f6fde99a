"""Spectral densities on the paper's axes: symlog eigenvalues, log density."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from figures.paging import Cell, pages_of_one, pages_of_several
from figures.style.class_colours import GROUP_COLOURS, class_styles, counts_of
from figures.style.colours import series_styles
from figures.style.comparable import (
    computed_text,
    find_records,
    label_text,
    require_comparable,
)
from figures.style.density_caption import common_window, density_caption
from figures.style.density_panel import DrawnDensity, draw_density
from figures.style.names import drawn_name
from figures.style.page import finish_page, write_axis_labels, write_header
from figures.style.sheet import PANELS, Sheet, house_style, sheet_of
from figures.style.spectral_axes import Window, set_spectral_axes
from spectra import Analysis, InputError, LossAnalysis, Spectrum
from spectra.results.provenance import AnalysisProtocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 2.25, 1.9  # inches of a panel with its header
_DENSITY = "density, log scale"


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
    width: str = "screen",
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
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    several = isinstance(spectrum, Mapping)
    given = spectrum if isinstance(spectrum, Mapping) else {"": spectrum}
    if not given:
        raise InputError("there is no spectrum to draw; give at least one")
    drawn = {name: DrawnDensity.of(source, summed=summed) for name, source in given.items()}
    with house_style(width) as sheet:
        if all(name in GROUP_COLOURS or name.isdigit() for name in drawn):
            styles = class_styles(list(drawn), class_counts)
        else:
            styles = series_styles(list(drawn))
        window = common_window(list(drawn.values()), sigma=sigma, xlim=xlim)
        fig, ax = None, axes
        if ax is None:
            fig = sheet.page(4.5 if several else 3.4, 2.6)
            ax = fig.add_subplot()
        set_spectral_axes(ax, window, every=1 if several else 2)
        lines = []
        for name, one in drawn.items():
            line = draw_density(ax, one, styles[name], window, fill=not several)
            line.set_label(
                f"{label_text(name)}: {one.extremes_text(sheet)}" if several else "density"
            )
            lines.append(line)
        ax.set_xlabel(window.axis_label(sheet))
        ax.set_ylabel(_DENSITY)
        write_header(ax, title or "", "" if several else drawn[""].extremes_text(sheet))
        if fig is None:
            return ax.get_figure(root=True)  # type: ignore[return-value]
        caption = density_caption(
            {label_text(name): one for name, one in drawn.items()},
            window,
            protocol,
            chosen=sigma is not None,
            shared=several,
        )
        return finish_page(fig, sheet=sheet, caption=caption, legend=lines if several else ())


def density_panels(
    analysis: Analysis,
    labels: Sequence[str] = ("head", "tail", "overall"),
    *,
    sigma: float | None = None,
    summed: bool = False,
    xlim: float | None = None,
    title: str | None = None,
    width: str = "screen",
) -> Figure:
    """Draw the densities of up to six losses of one checkpoint on common axes.

    Args:
        analysis: one result.
        labels: which of its records, from left to right.
        sigma: see :func:`plot_density`; one for all panels.
        summed: see :func:`plot_density`.
        xlim: see :func:`plot_density`.
        title: above the panels.
        width: see :func:`plot_density`.
    """
    return density_grid(
        {"": analysis}, labels, sigma=sigma, summed=summed, xlim=xlim, title=title, width=width
    )


def density_grid(
    rows: Mapping[str, Analysis],
    labels: Sequence[str],
    *,
    sigma: float | None = None,
    summed: bool = False,
    xlim: float | None = None,
    title: str | None = None,
    width: str = "screen",
) -> Figure:
    """Draw one row of densities for each result (without and with SAM, say) on common axes.

    Args:
        rows: results by the name of their row.
        labels: the records that make the columns; six panels in all at most.
        sigma: see :func:`plot_density`; one for all panels.
        summed: see :func:`plot_density`.
        xlim: see :func:`plot_density`.
        title: above the panels.
        width: see :func:`plot_density`.

    Raises:
        InputError: there are more than six panels, a record is missing, or the results are of
            different losses.
    """
    if len(rows) * len(labels) > PANELS:
        raise InputError(
            f"a page holds {PANELS} panels, got {len(rows)} x {len(labels)}; density_pages draws "
            "as many pages as it takes"
        )
    (page,) = density_pages(
        rows, labels, sigma=sigma, summed=summed, xlim=xlim, title=title, width=width
    )
    return page


def density_pages(
    rows: Mapping[str, Analysis],
    labels: Sequence[str],
    *,
    sigma: float | None = None,
    summed: bool = False,
    xlim: float | None = None,
    title: str | None = None,
    width: str = "screen",
    beside: Iterable[Analysis] = (),
) -> list[Figure]:
    """Draw densities on as many pages as six panels each take, all on the same axes.

    Several results have a row each. The panels of one result stand head against tail where they
    do not fit on one page: the groups first, then the three classes of most training images and
    the three of fewest on one page, then the others.

    Args:
        rows: results by the name of their row.
        labels: the records to draw of each.
        sigma: see :func:`plot_density`; one for all pages.
        summed: see :func:`plot_density`.
        xlim: see :func:`plot_density`.
        title: above the panels of each page.
        width: see :func:`plot_density`.
        beside: results of other figures that lie beside these: axes and σ are those of all.

    Raises:
        InputError: a record is missing, or the results are of different losses.
    """
    if not rows or not labels:
        raise InputError("density_grid needs at least one result and one label")
    require_comparable(rows.items())
    cells = {
        (name, record.label): DrawnDensity.of(record, summed=summed)
        for name, analysis in rows.items()
        for record in find_records(analysis, labels)
    }
    others = [
        DrawnDensity.of(record, summed=summed)
        for analysis in beside
        for record in find_records(analysis, labels)
    ]
    window = common_window([*cells.values(), *others], sigma=sigma, xlim=xlim)
    counts = counts_of(rows.values())
    sheet = sheet_of(width)
    if len(rows) == 1:
        (name,) = rows
        layouts = pages_of_one(name, labels, counts, sheet)
    else:
        layouts = pages_of_several(list(rows), labels, sheet)
    told = computed_text(list(rows.values()))
    return [
        _page(layout, cells, window, counts, title, told, width, chosen=sigma is not None)
        for layout in layouts
    ]


def _heading(name: str, record: LossAnalysis | None, sheet: Sheet) -> str:
    """Return what a panel is of; beside a recipe's name a narrow one has no room for images."""
    if record is None:
        return drawn_name(name)
    what = label_text(record.label)
    if name and sheet.narrow:
        return f"{what}, {drawn_name(name)}"
    counted = f"{what} ({record.n:,})"
    return f"{drawn_name(name)}, {counted}" if name else counted


def _page(
    lines: Sequence[Sequence[Cell]],
    cells: Mapping[Cell, DrawnDensity],
    window: Window,
    counts: Sequence[int],
    title: str | None,
    told: str,
    width: str,
    *,
    chosen: bool,
) -> Figure:
    columns = max(map(len, lines))
    with house_style(width) as sheet:
        styles = class_styles([label for _, label in cells], counts)
        fig = sheet.page(max(3.4, _PANEL[0] * columns), _PANEL[1] * len(lines) + 0.2)
        grid = fig.subplots(len(lines), columns, sharex=True, sharey=True, squeeze=False)
        for axes, line in zip(grid, lines, strict=True):
            for ax, (name, label) in zip(axes, line, strict=False):
                one = cells[name, label]
                set_spectral_axes(ax, window, every=2)
                draw_density(ax, one, styles[label], window, fill=True)
                write_header(ax, _heading(name, one.record, sheet), one.extremes_text(sheet))
            for ax in axes[len(line) :]:
                ax.remove()
        write_axis_labels(fig, window.axis_label(sheet), _DENSITY)
        drawn = {
            " ".join(drawn_name(part) for part in (name, label_text(label)) if part): cells[
                name, label
            ]
            for line in lines
            for name, label in line
        }
        caption = "In\u00a0brackets: images. " + density_caption(
            drawn, window, chosen=chosen, shared=len(cells) > 1
        )
        return finish_page(fig, sheet=sheet, title=title, told=told, caption=caption)
