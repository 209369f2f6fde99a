"""Head against tail, recipe by recipe: does the contrast hold over seeds?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.style.class_colours import class_styles
from figures.style.colours import DIVIDER, SeriesStyle
from figures.style.comparable import (
    computed_text,
    find_records,
    infer_groups,
    require_comparable,
)
from figures.style.names import drawn_name
from figures.style.page import finish_page
from figures.style.sheet import house_style
from figures.style.ticks import set_log_ticks
from spectra import Analysis, InputError, LossAnalysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

QUANTITIES = {"ratio": "|λmin/λmax|", "grad_norm": "‖g‖ of the class"}
_WIDTH = 0.36  # of a group's column, where recipes are 1 apart


@dataclass(frozen=True)
class _Column:
    """The points of one group of one recipe: one for each class and seed."""

    at: tuple[float, ...]
    values: tuple[float, ...]
    certain: tuple[bool, ...]
    absent: int


def plot_contrast(
    series: Mapping[str, Sequence[Analysis]],
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    quantities: Sequence[str] = ("ratio", "grad_norm"),
    title: str | None = None,
    width: str = "screen",
) -> Figure:
    """Draw |λmin/λmax| and ‖g‖ of every class and seed, by group, for each recipe; log axes.

    Every point is drawn, seeds from left to right within a column, so that a contrast which one
    seed makes is seen as such; a bar marks the median. Hollow ratios did not converge.

    Args:
        series: the results of each recipe, one for each seed.
        groups: classes of each group; by default those of the records ``head`` and ``tail``, or
            ``many`` and ``few``.
        quantities: of ``ratio``, ``grad_norm``; a panel each.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.

    Raises:
        InputError: nothing to draw, no groups, a class was not analyzed, or results of different
            losses.
    """
    unknown = [q for q in quantities if q not in QUANTITIES]
    if unknown or not quantities:
        raise InputError(f"quantities must be of {', '.join(QUANTITIES)}, got {list(quantities)}")
    if not series or not all(series.values()):
        raise InputError("plot_contrast needs at least one recipe with one result")
    flat = [(name, analysis) for name, runs in series.items() for analysis in runs]
    require_comparable(flat)
    chosen = (
        dict(groups)
        if groups
        else dict(infer_groups((a for _, a in flat), ("head", "tail", "many", "few")))
    )
    if not chosen:
        raise InputError("no result has records 'head' and 'tail'; say which classes are in groups")
    with house_style(width) as sheet:
        styles = class_styles(list(chosen))
        # Beyond seven recipes the page grows, so that seeds stay apart.
        wide = max(4.5, min(6.75, 1.3 * len(series)), 0.95 * len(series))
        fig = sheet.page(wide, 1.9 * len(quantities) + 0.2)
        rows = fig.subplots(len(quantities), 1, sharex=True, squeeze=False)[:, 0]
        handles: dict[str, Line2D] = {}
        absent = 0
        for ax, quantity in zip(rows, quantities, strict=True):
            drawn: list[float] = []
            for k, runs in enumerate(series.values()):
                for g, (group, classes) in enumerate(chosen.items()):
                    centre = k + (g - (len(chosen) - 1) / 2) * 0.8 / len(chosen)
                    span = _WIDTH * 2 / max(2, len(chosen))
                    column = _column(runs, classes, quantity, centre, span)
                    handles.setdefault(group, _draw(ax, column, styles[group], centre, span))
                    drawn.extend(column.values)
                    absent += column.absent
            _set_axes(ax, [drawn_name(name) for name in series], QUANTITIES[quantity], drawn)
        for group, handle in handles.items():
            handle.set_label(f"{drawn_name(group)} ({_classes_text(chosen[group])})")
        return finish_page(
            fig,
            sheet=sheet,
            title=title,
            told=computed_text([analysis for _, analysis in flat]),
            caption=_caption(absent, list(rows)),
            legend=list(handles.values()),
        )


def _column(
    runs: Sequence[Analysis], classes: Sequence[int], quantity: str, centre: float, width: float
) -> _Column:
    points = []
    absent = 0
    for s, analysis in enumerate(_by_seed(runs)):
        x = centre + ((s + 0.5) / len(runs) - 0.5) * width
        for record in find_records(analysis, [str(c) for c in classes]):
            value = getattr(record, quantity)
            if value is None or not value > 0:
                absent += 1
            else:
                points.append((x, float(value), _is_certain(record, quantity)))
    at, values, certain = zip(*points, strict=True) if points else ((), (), ())
    return _Column(at, values, certain, absent)


def _by_seed(runs: Sequence[Analysis]) -> list[Analysis]:
    return sorted(runs, key=lambda a: (a.checkpoint.seed is None, a.checkpoint.seed or 0))


def _is_certain(record: LossAnalysis, quantity: str) -> bool:
    return quantity != "ratio" or bool(record.converged)


def _draw(ax: Axes, column: _Column, style: SeriesStyle, centre: float, width: float) -> Line2D:
    def dots(certain: bool) -> Line2D:
        keep = [k for k, c in enumerate(column.certain) if c == certain]
        (line,) = ax.plot(
            [column.at[k] for k in keep], [column.values[k] for k in keep], ls="none",
            marker=style.marker, color=style.colour, alpha=0.8, mew=0.7,
            mfc=style.colour if certain else "white", label="points" if certain else "hollow",
        )  # fmt: skip
        return line

    line = dots(True)
    dots(False)
    if column.values:
        ends = [centre - width / 2, centre + width / 2]
        median = float(np.median(column.values))
        ax.plot(ends, [median, median], color="black", lw=1.4, label="median", zorder=4)
    return line


def _classes_text(classes: Sequence[int]) -> str:
    if len(classes) == 1:
        return f"class {classes[0]}"
    first, last = min(classes), max(classes)
    if sorted(classes) == list(range(first, last + 1)):
        return f"classes {first}–{last}"
    return f"classes {', '.join(map(str, classes))}"


def _set_axes(ax: Axes, names: Sequence[str], label: str, drawn: Sequence[float]) -> None:
    ax.set_yscale("log")
    if drawn:
        # At least a decade, so that noise does not fill the panel.
        low = min(min(drawn) / 1.3, max(drawn) / 8)
        ax.set_ylim(low, max(drawn) * 1.3)
        set_log_ticks(ax.yaxis, *ax.get_ylim())
    ax.set_ylabel(f"{label}, log scale")
    ax.set_xlim(-0.5, len(names) - 0.5)
    slanted = len(names) > 1 and max(map(len, names)) * len(names) > 70
    ax.set_xticks(
        range(len(names)), names, rotation=20 if slanted else 0, ha="right" if slanted else "center"
    )
    ax.grid(False, axis="x")
    for k in range(1, len(names)):
        ax.axvline(k - 0.5, color=DIVIDER, lw=0.5, zorder=0)


def _caption(absent: int, rows: Sequence[Any]) -> str:
    parts = ["One point for each class and seed, seeds from left to right; bar: median"]
    if any(
        line.get_label() == "hollow" and len(line.get_xdata()) for r in rows for line in r.lines
    ):
        parts.append("hollow: not converged")
    if absent:
        parts.append(f"{absent} zero values have no place on a log axis")
    return "; ".join(parts) + "."
