"""The same weights under several choices of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from figures.comparable import label_text
from figures.page import finish_page, new_page
from figures.style import TEXT_WIDTH, house_style, label_styles
from figures.ticks import set_log_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS_IN_A_LINE = 5


def plot_protocols(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    title: str | None = None,
    caption: str = "",
) -> Figure:
    """Draw |λmin/λmax| of each class under each protocol, a panel for each run, five in a line.

    Filled: of a fixed matrix, by a solver that checks its residuals. Hollow: Ritz values of
    products that change, or of a recurrence that nothing checks.

    Args:
        runs: rows of :func:`cli.workflows.protocols.comparison_rows` by the name of the run.
        title: above the panels.
        caption: what to add to the caption.
    """
    flat = [row for rows in runs.values() for row in rows]
    protocols = list(dict.fromkeys(row["protocol"] for row in flat))
    labels = list(dict.fromkeys(row["class"] for row in flat))
    sizes = {row["class"]: row["n"] for row in flat if row["protocol"] == protocols[0]}
    with house_style():
        styles = label_styles(labels, sizes)
        lines = math.ceil(len(runs) / PANELS_IN_A_LINE)
        columns = math.ceil(len(runs) / lines)
        fig = new_page(TEXT_WIDTH, 2.7 * lines)
        grid = list(fig.subplots(lines, columns, sharey=True, squeeze=False).flat)
        panels = grid[: len(runs)]
        for unused in grid[len(runs) :]:
            unused.remove()
        handles = []
        for ax, (name, rows) in zip(panels, runs.items(), strict=True):
            for k, label in enumerate(labels):
                mine = {r["protocol"]: r for r in rows if r["class"] == label}
                shift = 0.5 * (k / max(1, len(labels) - 1) - 0.5) if len(labels) > 1 else 0.0
                points = [
                    (protocols.index(p) + shift, r["ratio"], r["lambda_min_at_most"] is not None)
                    for p, r in mine.items()
                    if r["ratio"]
                ]
                style = styles[label]
                for x, y, fixed in points:
                    ax.plot(
                        [x], [y], marker=style.marker, color=style.colour, ls="none",
                        mfc=style.colour if fixed else "white", ms=4.5,
                    )  # fmt: skip
                (handle,) = ax.plot(
                    [], [], marker=style.marker, color=style.colour, ls="none",
                    label=f"{label_text(label)} ({sizes.get(label, 0):,})",
                )  # fmt: skip
                if ax is panels[0]:
                    handles.append(handle)
            ax.axhline(1, color="#999999", lw=0.7, zorder=1)
            ax.set_yscale("log")
            low = min((r["ratio"] for r in flat if r["ratio"]), default=0.1)
            bottom = 10 ** math.floor(math.log10(low))
            ax.set_ylim(bottom, 2)
            set_log_ticks(ax.yaxis, bottom, 1)
            ax.set_xticks(range(len(protocols)), protocols, rotation=45, ha="right")
            ax.grid(axis="x", visible=False)
            ax.set_title(name, weight="bold")
        for first in panels[::columns]:
            first.set_ylabel("|λmin/λmax|")
        text = (
            "Filled: a fixed matrix, residuals checked. Hollow: Ritz values of one run, of "
            "products that change (fresh) or of PyHessian's recurrence, unchecked. In brackets: "
            "images. "
        )
        return finish_page(fig, caption=text + caption, legend=handles, title=title)
