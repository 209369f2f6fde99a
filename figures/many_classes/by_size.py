"""|λmin/λmax| and λmin of every class against its size, with bands of quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from figures.style.class_colours import GROUP_COLOURS, class_styles
from figures.style.colours import BLACK, MUTED
from figures.style.comparable import computed_text, infer_groups
from figures.style.names import drawn_name
from figures.style.page import finish_page, write_header
from figures.style.sheet import house_style
from figures.style.ticks import plain_number, set_log_ticks
from spectra import Analysis, InputError, LossAnalysis
from spectra.results.groups.summary import QUANTILES, single_classes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ours: a tenth of 25 values is known to one place, and twelve bands show a trend.
_IN_A_BAND, _BANDS = 25, 12
# Ours: a file of drawn circles is slow to open from some thousand on; from there they are pixels.
_RASTER = 2000
_BESIDE = "other"


@dataclass(frozen=True)
class SizeBand:
    """Classes of about one size, and how their values spread.

    Attributes:
        size: images, the geometric mean.
        low: a tenth of the values lies below.
        median: half of them.
        high: nine tenths.
        classes: how many they are.
    """

    size: float
    low: float
    median: float
    high: float
    classes: int


def bands_by_size(sizes: Sequence[int], values: Sequence[float]) -> list[SizeBand]:
    """Return how values spread over classes of about one size, from small classes to large.

    Classes of one size stay together, and a band holds 25 classes at least; where there are fewer
    in all there is none.

    Args:
        sizes: images of each class.
        values: one for each.
    """
    order = np.argsort(sizes, kind="stable")
    size, value = np.asarray(sizes, dtype=np.float64)[order], np.asarray(values)[order]
    wanted = max(_IN_A_BAND, math.ceil(len(size) / _BANDS))
    bands, first = [], 0
    while len(size) - first >= _IN_A_BAND:
        last = int(np.searchsorted(size, size[min(first + wanted, len(size)) - 1], side="right"))
        if len(size) - last < _IN_A_BAND:
            last = len(size)
        low, median, high = map(float, np.quantile(value[first:last], QUANTILES))
        centre = float(np.exp(np.log(np.maximum(size[first:last], 1)).mean()))
        bands.append(SizeBand(centre, low, median, high, last - first))
        first = last
    return bands


def plot_classes_by_size(
    analysis: Analysis, *, title: str | None = None, width: str = "screen"
) -> Figure:
    """Draw |λmin/λmax| and λmin of every class against its number of training images.

    A point is a class, its colour the group that it is in. The line is the median of classes of
    about that size, the band holds the middle eight tenths of them.

    Args:
        analysis: with at least one class analyzed alone.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.

    Raises:
        InputError: no class was analyzed alone.
    """
    records = single_classes(analysis.records)
    if not records:
        raise InputError(
            "plot_classes_by_size needs losses of single classes; analyze with --classes all"
        )
    counts = analysis.checkpoint.class_counts
    sizes = {r.label: counts[r.classes[0]] if counts else r.n for r in records}
    groups = _by_group(analysis, records)
    # Of one size there is nothing to see over sizes: the points then lie over the classes' numbers.
    one_size = len({*sizes.values()}) == 1
    at = {r.label: r.classes[0] for r in records} if one_size else sizes
    with house_style(width) as sheet:
        lines = 1 if sheet.across > 2 else 2
        fig = sheet.page(6.75 / lines, 2.9 if lines == 1 else 5.2)
        ratios, lows = fig.subplots(lines, 3 - lines, squeeze=False).flat
        handles = _draw(ratios, groups, at, "ratio", banded=not one_size)
        _draw(lows, groups, at, "lambda_min", banded=not one_size)
        _set_ratio_axis(ratios, records)
        _set_lambda_axis(lows, records)
        write_header(ratios, "|λmin/λmax|, log scale")
        write_header(lows, "λmin (loss / parameter²), symlog scale")
        for ax in (ratios, lows):
            images = "training images" if counts else "analyzed images"
            if one_size:
                ax.set_xlabel(f"class, of {next(iter(sizes.values())):,} {images} each")
            else:
                _set_size_axis(ax, list(sizes.values()), images)
        return finish_page(
            fig,
            sheet=sheet,
            title=title,
            told=computed_text([analysis]),
            caption=_caption(groups, analysis, banded=not one_size),
            legend=list(handles.values()),
        )


def _by_group(analysis: Analysis, records: Sequence[LossAnalysis]) -> dict[str, list[LossAnalysis]]:
    """Return the records of each group, those of most images first; others at the end."""
    known: Mapping[str, Sequence[int]] = {
        group.name: group.classes for group in analysis.protocol.class_groups
    } or infer_groups([analysis])
    group_of = {c: name for name, classes in known.items() for c in classes}
    found: dict[str, list[LossAnalysis]] = {name: [] for name in (*known, _BESIDE)}
    for record in records:
        found[group_of.get(record.classes[0], _BESIDE)].append(record)
    return {name: those for name, those in found.items() if those}


def _draw(
    ax: Axes,
    groups: Mapping[str, Sequence[LossAnalysis]],
    places: Mapping[str, int],
    key: str,
    *,
    banded: bool,
) -> dict[str, Artist]:
    from matplotlib.lines import Line2D

    handles: dict[str, Artist] = {}
    styles = class_styles([name for name in groups if name in GROUP_COLOURS])
    few = sum(map(len, groups.values())) <= _RASTER
    x: list[int] = []
    y: list[float] = []
    for name, records in groups.items():
        values = [(places[r.label], getattr(r, key)) for r in records]
        drawn = [(size, value) for size, value in values if _is_shown(key, value)]
        x += [size for size, _ in drawn]
        y += [value for _, value in drawn]
        colour = styles[name].colour if name in styles else MUTED
        marker = styles[name].marker if name in styles else "o"
        label = f"{drawn_name(name)} ({len(records):,})"
        ax.scatter(
            [size for size, _ in drawn], [value for _, value in drawn], lw=0, color=colour,
            marker=marker, s=7 if few else 3, alpha=0.45 if few else 0.25, label=label,
            rasterized=not few,
        )  # fmt: skip
        handles[name] = Line2D([], [], ls="none", color=colour, marker=marker, label=label)
    bands = bands_by_size(x, y) if banded else []
    if len(bands) > 1:
        at = [band.size for band in bands]
        ax.fill_between(
            at, [b.low for b in bands], [b.high for b in bands], color=BLACK, alpha=0.13, lw=0,
            label="middle eight tenths",
        )  # fmt: skip
        (handles["median"],) = ax.plot(
            at,
            [b.median for b in bands],
            color=BLACK,
            lw=1.4,
            label="median of classes of that size",
        )
    return handles


def _is_shown(key: str, value: float | None) -> bool:
    """Say whether an axis has a place for a value: of ratios it is a log axis."""
    return value is not None and (key != "ratio" or value > 0)


def _set_size_axis(ax: Axes, sizes: Sequence[int], images: str) -> None:
    ax.set_xscale("log")
    ax.set_xlim(max(1, min(sizes)) / 1.3, max(2, *sizes) * 1.3)
    set_log_ticks(ax.xaxis, *ax.get_xlim())
    ax.set_xlabel(f"{images} of the class")


def _set_ratio_axis(ax: Axes, records: Sequence[LossAnalysis]) -> None:
    positive = [r.ratio for r in records if r.ratio] or [1.0]
    ax.set_yscale("log")
    ax.set_ylim(min(positive) / 1.5, max(positive) * 1.5)
    set_log_ticks(ax.yaxis, *ax.get_ylim())


def _set_lambda_axis(ax: Axes, records: Sequence[LossAnalysis]) -> None:
    """Set a symlog axis that is linear below the smallest twentieth of |λmin|."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    values = np.array([r.lambda_min for r in records])
    spread = np.abs(values[values != 0])
    linear = 10.0 ** math.floor(math.log10(np.quantile(spread, 0.05))) if len(spread) else 1.0
    ax.set_yscale("symlog", linthresh=linear, linscale=0.5)
    low, high = min(0.0, 1.5 * float(values.min())), max(0.0, 1.5 * float(values.max()))
    ax.set_ylim(low if low else -linear, high if high else linear / 2)
    most = max(-low, high, linear)
    powers = [10.0**k for k in range(round(math.log10(linear)), math.floor(math.log10(most)) + 1)]
    ax.yaxis.set_major_locator(FixedLocator([*(-p for p in powers), 0.0, *powers]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: plain_number(v)))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.axhline(0, color=MUTED, lw=0.7)


def _caption(
    groups: Mapping[str, Sequence[LossAnalysis]], analysis: Analysis, *, banded: bool
) -> str:
    records = [record for those in groups.values() for record in those]
    drawn = any(group.drawn for group in analysis.protocol.class_groups)
    hidden = sum(not _is_shown("ratio", record.ratio) for record in records)
    parts = [
        f"{len(records):,} classes" + " (a random sample of each group)" * drawn,
        *["band: between a tenth and nine tenths of classes of about that size"] * banded,
        "in\u00a0brackets: classes",
        *[f"{hidden} without a ratio above 0 are not in the first panel"] * bool(hidden),
    ]
    return "; ".join(parts) + "."
