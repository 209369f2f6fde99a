"""How far the extreme eigenvectors turn from one checkpoint to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from figures.style.class_colours import class_styles, counts_of
from figures.style.colours import TEXT_WIDTH, house_style
from figures.style.comparable import label_text, protocol_text
from figures.style.names import drawn_name
from figures.style.page import finish_page, new_page
from spectra import Analysis, InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_ENDS = ("v of λmin", "v of λmax")


def plot_overlaps(
    series: Mapping[str, Sequence[Analysis]], *, labels: Sequence[str], title: str | None = None
) -> Figure:
    """Draw |⟨v, v_before⟩| over the epochs: a row for each run, a panel for each end.

    A value near 1: the checkpoint before was a good start. Near 0: another eigenvector has taken
    the end over, which only the random part of a warm start can have found.

    Args:
        series: warm-started results of each run, one seed each.
        labels: the records to draw.
        title: above the panels.

    Raises:
        InputError: no result was warm-started.
    """
    flat = [a for runs in series.values() for a in runs]
    if not any(r.overlaps for a in flat for r in a.records if r.label in labels):
        raise InputError("no result has overlaps; they come from trajectories without a density")
    sizes = {r.label: r.n for a in reversed(flat) for r in a.records}
    with house_style():
        styles = class_styles(labels, counts_of(flat))
        fig = new_page(TEXT_WIDTH, 2.0 * len(series) + 0.4)
        grid = fig.subplots(len(series), 2, sharex=True, sharey=True, squeeze=False)
        handles: dict[str, Line2D] = {}
        for ax in grid[-1]:
            ax.set_xlabel("epoch")
        for row, (name, runs) in zip(grid, series.items(), strict=True):
            for end, ax in enumerate(row):
                for label in labels:
                    points = [
                        (a.checkpoint.epoch, r.overlaps[end])
                        for a in runs
                        for r in a.records
                        if r.label == label and r.overlaps and a.checkpoint.epoch is not None
                    ]
                    if points:
                        x, y = zip(*sorted(points), strict=True)
                        (line,) = ax.plot(x, y, **styles[label].drawing())
                        line.set_label(f"{label_text(label)} ({sizes[label]:,})")
                        handles.setdefault(label, line)
                ax.set_ylim(0, 1.03)
                ax.set_title(f"{drawn_name(name)}: {_ENDS[end]}", weight="bold")
            row[0].set_ylabel("|⟨v, v before⟩|")
        legend = [handles[label] for label in labels if label in handles]
        caption = f"{protocol_text(flat[0].protocol)}; in brackets: images."
        return finish_page(fig, caption=caption, legend=legend, title=title)
