"""Whether the extreme eigenvectors stay the same from one checkpoint to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from figures.style.comparable import computed_text, label_text
from figures.style.names import drawn_name
from figures.style.page import finish_page, write_header
from figures.style.sheet import PANELS, house_style
from spectra import Analysis, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUNS_ON_A_PAGE = PANELS // 2
_ENDS = ("v of λmin", "v of λmax")
# Ours: above it a cell is dark, and its number white.
_DARK = 0.6
_CAPTION = (
    "|⟨v, v before⟩|: 1 (dark) where the eigenvector is that of the checkpoint before, 0 (white) "
    "where another one has taken its place. Columns: the later checkpoint's epoch."
)


def plot_overlaps(
    series: Mapping[str, Sequence[Analysis]],
    *,
    labels: Sequence[str],
    title: str | None = None,
    width: str = "screen",
) -> Figure:
    """Draw how much of each extreme eigenvector is that of the checkpoint before, as a table.

    A row for each loss, a column for each checkpoint but the first; λmin at the left, λmax at the
    right. A dark cell says that the direction of extreme curvature stayed; a white one that it
    was taken over by another, so that the two checkpoints' extremes are of different directions.

    Args:
        series: warm-started results of each run, one seed each; three runs at most.
        labels: the records to draw.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.

    Raises:
        InputError: no result was warm-started, or there are more than three runs.
    """
    flat = [a for runs in series.values() for a in runs]
    if not any(r.overlaps for a in flat for r in a.records if r.label in labels):
        raise InputError("no result has overlaps; they come from trajectories without a density")
    if len(series) > RUNS_ON_A_PAGE:
        raise InputError(f"a page holds {RUNS_ON_A_PAGE} runs, got {len(series)}; draw fewer")
    with house_style(width) as sheet:
        down = 0.55 + 0.19 * len(labels)
        fig = sheet.page(sheet.inches, down * len(series) + 0.2)
        grid = fig.subplots(len(series), 2, sharey=True, squeeze=False)
        # A label of an epoch takes three letters, as a number in a cell does, and a gap one.
        letter = 0.6 * sheet.font_size / 72
        column = (sheet.inches / 2 - 0.5) / max(map(len, series.values()))
        for row, (name, runs) in zip(grid, series.items(), strict=True):
            for end, ax in enumerate(row):
                _draw(ax, runs, labels, end, per_label=4 * letter / column)
                write_header(ax, f"{drawn_name(name)}: {_ENDS[end]}")
        for ax in grid[-1]:
            ax.set_xlabel("epoch")
        return finish_page(
            fig, sheet=sheet, title=title, told=computed_text(flat), caption=_CAPTION
        )


def _draw(
    ax: Axes, runs: Sequence[Analysis], labels: Sequence[str], end: int, *, per_label: float
) -> None:
    """Draw the table of one end of one run; a label takes the width of ``per_label`` columns."""
    found = {
        (r.label, a.checkpoint.epoch): r.overlaps[end]
        for a in runs
        for r in a.records
        if r.overlaps and a.checkpoint.epoch is not None
    }
    epochs = sorted({epoch for _, epoch in found})
    table = np.array([[found.get((label, e), np.nan) for e in epochs] for label in labels])
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.grid(False)
    ax.set_yticks(range(len(labels)), [label_text(label) for label in labels])
    every = max(1, math.ceil(per_label))
    ax.set_xticks(range(0, len(epochs), every), [str(e) for e in epochs[::every]])
    for (k, i), value in np.ndenumerate(table):
        if per_label < 1 and np.isfinite(value):
            colour = "white" if value > _DARK else "black"
            ax.text(i, k, f"{value:.2f}".lstrip("0"), ha="center", va="center", color=colour)
