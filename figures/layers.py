"""λmin, λmax and trace of every layer, over depth: one line a class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from figures.style.class_colours import class_styles
from figures.style.colours import GUIDE
from figures.style.comparable import computed_text, find_records, label_text
from figures.style.names import drawn_name
from figures.style.page import finish_page
from figures.style.sheet import house_style
from spectra import Analysis, InputError, LossAnalysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# What is drawn, its name, and the quantity whose size tells what counts as zero.
_QUANTITIES = (
    ("lambda_max", "λmax", "lambda_max"),
    ("lambda_min", "λmin", "lambda_max"),
    ("trace", "trace", "trace"),
)
# Ours: around zero the axes are linear, up to this part of the largest value: below it verdicts
# do not call an eigenvalue negative.
_LINEAR = 1e-3
_LONGEST_NAME = 24  # letters; ours


def plot_layers(
    analysis: Analysis,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    width: str = "screen",
) -> Figure:
    """Draw λmax, λmin and trace of the layers' blocks over depth, the classes side by side.

    Args:
        analysis: a result with layers, as ``analyze --per-layer`` gives it.
        labels: which records; None: all that have layers.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.

    Raises:
        InputError: there are no layers, or no record of such a label.
    """
    records = [r for r in analysis.records if r.layers]
    if labels is not None:
        records = [r for r in find_records(analysis, labels) if r.layers]
    if not records:
        raise InputError("the result has no layers; they come from analyze --per-layer")
    names = [drawn_name(layer.name, _LONGEST_NAME) for layer in records[0].layers]
    with house_style(width) as sheet:
        styles = class_styles([r.label for r in records], analysis.checkpoint.class_counts)
        fig = sheet.page(6.75, 4.8)
        axes = list(fig.subplots(len(_QUANTITIES), 1, sharex=True))
        handles: list[Line2D] = []
        for ax, (field, text, wide) in zip(axes, _QUANTITIES, strict=True):
            drawn = []
            for record in records:
                values = [getattr(layer, field) for layer in record.layers]
                (line,) = ax.plot(range(len(names)), values, **styles[record.label].drawing())
                line.set_label(f"{label_text(record.label)} ({record.n:,})")
                drawn.append(line)
                if field == "trace":
                    errors = [layer.trace_error for layer in record.layers]
                    ax.errorbar(range(len(names)), values, yerr=errors, fmt="none",
                                ecolor=styles[record.label].colour, elinewidth=0.7)  # fmt: skip
            _both_signs(ax, _all(records, field), widest=max(_all(records, wide)))
            ax.set_ylabel(f"{text}, symlog scale")
            handles = drawn
        axes[-1].set_xticks(range(len(names)), names, rotation=90)
        caption = (
            "Diagonal blocks of each layer's parameters, in the order of registration; bars: "
            "standard error of an estimated trace; axes linear around 0; in brackets: images."
        )
        return finish_page(
            fig,
            sheet=sheet,
            title=title,
            told=computed_text([analysis]),
            caption=caption,
            legend=handles,
        )


def _all(records: Sequence[LossAnalysis], field: str) -> list[float]:
    return [float(getattr(layer, field)) for record in records for layer in record.layers]


def _both_signs(ax: Axes, values: Sequence[float], *, widest: float) -> None:
    """Have an axis show the signs that there are over decades, linear around zero."""
    ax.axhline(0, color=GUIDE, lw=0.7)
    if widest > 0:
        zero = 10.0 ** math.floor(math.log10(_LINEAR * widest))
        ax.set_yscale("symlog", linthresh=zero)
        low, high = min(values), max(values)
        ax.set_ylim(2 * low if low < -zero else -zero, 2 * high if high > zero else zero)
