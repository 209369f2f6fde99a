"""|λmin/λmax| of the groups of many classes over training: medians, and bands of quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from figures.style.class_colours import class_styles
from figures.style.comparable import computed_text, require_comparable
from figures.style.names import drawn_name
from figures.style.page import finish_page, write_header
from figures.style.sheet import PANELS, house_style
from figures.trajectory import draw_switch, set_ratio_axes
from spectra import Analysis, InputError
from spectra.results.groups.summary import EVERY_CLASS, GroupSummary, group_summaries

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Ours, as for curves of single classes: below it every curve of a linear axis lies low.
_LEGIBLE = 0.3


def plot_groups_over_training(
    series: Mapping[str, Sequence[Analysis]],
    *,
    switch_epoch: int | None = None,
    title: str | None = None,
    width: str = "screen",
    beside: Sequence[Analysis] = (),
) -> Figure:
    """Draw |λmin/λmax| of each group's classes over the epochs, a panel for each run, six at most.

    A line is the median over the classes of the group, a band holds the middle eight tenths.

    Args:
        series: results of each run, one for each epoch, in any order.
        switch_epoch: the first epoch of deferred re-weighting, marked by a dashed line; None: none.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
        beside: results of other figures that lie beside this one: the axis holds those too.

    Raises:
        InputError: no classes to draw, two results of one epoch, one without, more than six runs,
            or results of different losses.
    """
    flat = [(name, analysis) for name, runs in series.items() for analysis in runs]
    require_comparable(flat)
    curves = {name: _curves(name, runs) for name, runs in series.items()}
    every = [g for by_group in curves.values() for points in by_group.values() for _, g in points]
    every += [group for analysis in beside for group in group_summaries(analysis)]
    values = [v for g in every if g.ratio for v in (g.ratio.low, g.ratio.high)]
    if not values:
        raise InputError("no result has a ratio of single classes; analyze with --classes all")
    scale = "linear" if max(values) > _LEGIBLE else "log"
    names = list(dict.fromkeys(group for by_group in curves.values() for group in by_group))
    with house_style(width) as sheet:
        styles = class_styles(names)
        fig, panels, columns = sheet.panels(len(series), down=2.6)
        handles: dict[str, Line2D] = {}
        for ax, (run, by_group) in zip(panels, curves.items(), strict=True):
            for group, points in by_group.items():
                known = [(epoch, g, g.ratio) for epoch, g in points if g.ratio is not None]
                if not known:
                    continue
                epochs = [epoch for epoch, _, _ in known]
                looks = styles[group]
                (line,) = ax.plot(epochs, [r.median for *_, r in known], **looks.drawing())
                line.set_label(f"{drawn_name(group)} ({known[-1][1].analyzed:,} classes)")
                handles.setdefault(group, line)
                ax.fill_between(
                    epochs, [r.low for *_, r in known], [r.high for *_, r in known],
                    color=looks.colour, alpha=0.13, lw=0,
                )  # fmt: skip
            set_ratio_axes(ax, scale, values)
            write_header(ax, drawn_name(run), above=0 if switch_epoch is None else 10)
            if switch_epoch is not None:
                draw_switch(ax, switch_epoch, "DRW")
            ax.set_xlabel("epoch")
        for first in panels[::columns]:
            first.set_ylabel("|λmin/λmax|" + ", log scale" * (scale == "log"))
        return finish_page(
            fig,
            sheet=sheet,
            title=title,
            told=computed_text([a for _, a in flat]),
            caption="Line: median over the classes of a group; band: between a tenth and nine "
            "tenths of them.",
            legend=list(handles.values()),
        )


def groups_over_training_pages(
    series: Mapping[str, Sequence[Analysis]],
    *,
    switch_epoch: int | None = None,
    width: str = "screen",
) -> list[Figure]:
    """Draw the groups of any number of runs, six on a page, all on the same axis.

    Args:
        series: see :func:`plot_groups_over_training`.
        switch_epoch: see there.
        width: see there.
    """
    names = list(series)
    every = [analysis for runs in series.values() for analysis in runs]
    return [
        plot_groups_over_training(
            {name: series[name] for name in names[k : k + PANELS]},
            switch_epoch=switch_epoch, width=width, beside=every,
        )
        for k in range(0, len(names), PANELS)
    ]  # fmt: skip


def _curves(name: str, runs: Sequence[Analysis]) -> dict[str, list[tuple[int, GroupSummary]]]:
    """Return what is said of each group at each epoch; of groups alone, where there are some."""
    found: dict[str, dict[int, GroupSummary]] = {}
    for analysis in runs:
        epoch = analysis.checkpoint.epoch
        if epoch is None:
            raise InputError(f"a result of {name!r} states no epoch; analyze a trained checkpoint")
        groups = group_summaries(analysis)
        for group in groups:
            if group.name == EVERY_CLASS and len(groups) > 1:
                continue
            at = found.setdefault(group.name, {})
            if epoch in at:
                raise InputError(f"{name!r} has two results of epoch {epoch}; drop one")
            at[epoch] = group
    return {group: sorted(at.items()) for group, at in found.items()}
