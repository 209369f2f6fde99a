"""λmin, λmax and trace of every layer, over depth: one line a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from figures.style.colours import GUIDE, TEXT_WIDTH, house_style, label_styles
from figures.style.comparable import find_records, label_text, protocol_text
from figures.style.page import finish_page, new_page
from spectra import Analysis, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_QUANTITIES = (("lambda_max", "λmax"), ("lambda_min", "λmin"), ("trace", "trace"))
# Ours: around zero the axes are linear, up to this part of the largest value.
_LINEAR = 1e-3


def plot_layers(
    analysis: Analysis, *, labels: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Draw λmax, λmin and trace of the layers' blocks over depth, the classes side by side.

    Args:
        analysis: a result with layers, as ``analyze --per-layer`` gives it.
        labels: which records; None: all that have layers.
        title: above the panels.

    Raises:
        InputError: there are no layers, or no record of such a label.
    """
    records = [r for r in analysis.records if r.layers]
    if labels is not None:
        records = [r for r in find_records(analysis, labels) if r.layers]
    if not records:
        raise InputError("the result has no layers; they come from analyze --per-layer")
    names = [layer.name for layer in records[0].layers]
    with house_style():
        styles = label_styles([r.label for r in records], {r.label: r.n for r in records})
        fig = new_page(TEXT_WIDTH, 4.8)
        axes = list(fig.subplots(len(_QUANTITIES), 1, sharex=True))
        handles: list[Line2D] = []
        for ax, (field, text) in zip(axes, _QUANTITIES, strict=True):
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
            _both_signs(ax, [v for r in records for v in (getattr(x, field) for x in r.layers)])
            ax.set_ylabel(text)
            handles = drawn
        axes[-1].set_xticks(range(len(names)), names, rotation=90)
        caption = (
            f"{protocol_text(analysis.protocol)}; diagonal blocks of each layer's parameters, in "
            "the order of the network; bars: standard error of an estimated trace; axes linear "
            "around 0; in brackets: images."
        )
        return finish_page(fig, caption=caption, legend=handles, title=title)


def _both_signs(ax: Axes, values: Sequence[float]) -> None:
    """Have an axis show both signs over decades."""
    largest = max(map(abs, values), default=0.0)
    ax.axhline(0, color=GUIDE, lw=0.7)
    if largest > 0:
        ax.set_yscale("symlog", linthresh=_LINEAR * largest)
