"""Per-class accuracy against class size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.style.colours import series_styles
from figures.style.comparable import find_records
from figures.style.names import drawn_name
from figures.style.page import finish_page
from figures.style.sheet import house_style
from figures.style.ticks import set_log_ticks
from spectra import Analysis, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def class_accuracies(analysis: Analysis) -> tuple[float, ...]:
    """Return the test accuracy of classes 0, 1, ..., as :func:`plot_accuracy` takes it.

    Raises:
        InputError: a class was not analyzed, or has no held-out images.
    """
    counts = analysis.checkpoint.class_counts
    records = find_records(analysis, [str(c) for c in range(len(counts))])
    missing = [r.label for r in records if r.accuracy is None]
    if missing or not records:
        raise InputError(f"there is no test accuracy of class {', '.join(missing) or '0'}")
    return tuple(float(r.accuracy) for r in records if r.accuracy is not None)


def plot_accuracy(
    series: Mapping[str, Sequence[Sequence[float]]],
    *,
    class_counts: Sequence[int],
    groups: Mapping[str, Sequence[int]] | None = None,
    title: str | None = None,
    width: str = "screen",
) -> Figure:
    """Draw the accuracy of every class against its number of training images.

    One point for each class and recipe, the median over seeds, with a bar from the smallest to
    the largest. The line joins the means of classes of equal size; with more than thirty classes,
    of tenths of the classes. Head is at the left.

    Args:
        series: for each recipe, for each seed, the accuracy of every class, between 0 and 1.
        class_counts: training images of each class.
        groups: ``head``, ``mid``, ``tail``: their classes, shaded.
        title: above the axis.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.

    Raises:
        InputError: numbers of classes differ, or an accuracy lies outside 0..1.
    """
    if not series or not all(series.values()):
        raise InputError("plot_accuracy needs at least one recipe with one seed")
    from matplotlib.lines import Line2D

    sizes = np.asarray(class_counts, dtype=np.float64)
    tables = {name: _table(name, runs, len(sizes)) for name, runs in series.items()}
    with house_style(width) as sheet:
        styles = series_styles(list(series))
        fig = sheet.page(4.5, 2.8)
        ax = fig.add_subplot()
        _set_axes(ax, sizes)
        # Recipes stand side by side at each size; the whole spread is a sixth of the distance
        # between two evenly spaced classes.
        gap = np.log(sizes.max() / sizes.min()) / max(len(sizes) - 1, 1) or 0.1
        shifts = np.linspace(-1, 1, len(tables)) * gap / 12 if len(tables) > 1 else [0.0]
        crowded = len(sizes) > 30
        handles: list[Any] = []
        lengths = {len(table) for table in tables.values()}
        for (name, table), shift in zip(tables.items(), shifts, strict=True):
            median = np.median(table, axis=0)
            style, at = styles[name], sizes * np.exp(-shift)
            ends = table.min(axis=0), table.max(axis=0)
            ax.vlines(at, *ends, color=style.colour, lw=1, alpha=0.3 if crowded else 1)
            x, y = _joined(at, median, in_tenths=crowded)
            ax.plot(x, y, color=style.colour, ls=style.line, lw=1.2 if crowded else 0.9)
            ax.plot(
                at, median, color=style.colour, marker=style.marker, ls="none", label=name,
                ms=2.5 if crowded else None, alpha=0.6 if crowded else 1,
            )  # fmt: skip
            seeds = f" ({len(table)} seeds)" if len(lengths) > 1 else ""
            handles.append(Line2D([], [], **style.drawing(), label=f"{drawn_name(name)}{seeds}"))
        if groups:
            _shade(ax, sizes, groups)
        count = f"{lengths.copy().pop()} seeds" if len(lengths) == 1 else "the seeds"
        parts = [f"Median of {count}; bars: smallest to largest."] if max(lengths) > 1 else []
        if crowded:
            parts.append("Lines join the means of tenths of the classes.")
        return finish_page(fig, sheet=sheet, title=title, caption=" ".join(parts), legend=handles)


def _table(name: str, runs: Sequence[Sequence[float]], num_classes: int) -> Any:
    lengths = {len(run) for run in runs}
    if lengths != {num_classes}:
        raise InputError(
            f"every run of {name!r} must have {num_classes} accuracies, one for each class; got "
            f"{', '.join(map(str, sorted(lengths)))}"
        )
    table = np.asarray(runs, dtype=np.float64)
    if not ((table >= 0) & (table <= 1)).all():
        raise InputError(f"accuracies of {name!r} must lie in 0..1; give fractions, not percent")
    return table


def _joined(at: Any, median: Any, *, in_tenths: bool) -> tuple[list[float], list[float]]:
    """Return the places and mean accuracies that the line of one recipe joins."""
    order = np.argsort(-at, kind="stable")
    _, starts = np.unique(-at[order], return_index=True)
    parts = np.array_split(order, 10) if in_tenths else np.split(order, starts[1:])
    centres = [float(np.exp(np.log(at[part]).mean())) for part in parts]
    return centres, [float(median[part].mean()) for part in parts]


def _set_axes(ax: Axes, sizes: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    ax.set_xscale("log")
    ax.set_xlim(sizes.max() * 1.25, sizes.min() / 1.25)
    set_log_ticks(ax.xaxis, sizes.min() / 1.25, sizes.max() * 1.25)
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("training images of the class, log scale")
    ax.set_ylabel("test accuracy of the class")


def _shade(ax: Axes, sizes: Any, groups: Mapping[str, Sequence[int]]) -> None:
    """Shade the range of sizes of each group, out to halfway to its neighbours."""
    left = float(sizes.max() * 1.25)
    ordered = sorted(groups.items(), key=lambda g: -float(sizes[list(g[1])].max()))
    for k, (name, classes) in enumerate(ordered):
        smallest = float(sizes[list(classes)].min())
        right = smallest / 1.25
        if k + 1 < len(ordered):
            right = float(np.sqrt(smallest * sizes[list(ordered[k + 1][1])].max()))
        # Grey, as the colours of roles are those of recipes here.
        ax.axvspan(left, right, color="black", alpha=0.05 * k, lw=0, zorder=0)
        ax.annotate(
            name, (float(np.sqrt(left * right)), 1), (0, 2), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", annotation_clip=False,
        )  # fmt: skip
        left = right
