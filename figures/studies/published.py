"""Our accuracies beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from figures.style.colours import BLUE, MUTED
from figures.style.names import drawn_name
from figures.style.page import finish_page
from figures.style.sheet import house_style
from spectra.results.reproduction_result import RUN, ComparedRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_QUANTITIES = ("overall", "head", "mid", "tail")


def plot_published(
    rows: Sequence[ComparedRow],
    *,
    title: str | None = None,
    caption: str = "",
    width: str = "screen",
) -> Figure:
    """Draw a dot for ours and one for the published value of each row; a panel a quantity.

    Args:
        rows: of a reproduction's result.
        title: above the panels.
        caption: where the published values come from.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    with house_style(width) as sheet:
        # Four beside each other take the width of two columns.
        columns = 2 if sheet.across < 3 else 4
        lines = len(_QUANTITIES) // columns
        fig = sheet.page(6.75, (0.6 + 0.22 * len(rows)) * lines)
        grid = fig.subplots(lines, columns, sharey=True, squeeze=False)
        panels = list(grid.flat)
        handles = []
        for ax, quantity in zip(panels, _QUANTITIES, strict=True):
            for k, row in enumerate(rows):
                value = row.values.get(quantity)
                if value is None:
                    continue
                if value.published is not None:
                    handle = ax.errorbar(
                        value.published, k + 0.15, xerr=value.published_sd, fmt="D",
                        color=MUTED, mfc="white", ms=4, capsize=2, label="published",
                    )  # fmt: skip
                    handles.append(handle)
                if value.ours is not None:
                    handle = ax.errorbar(
                        value.ours, k - 0.15, xerr=value.ours_sd, fmt="o", color=BLUE,
                        ms=4, capsize=2, label="ours",
                    )  # fmt: skip
                    handles.append(handle)
            ax.set_title(quantity, weight="bold")
            ax.set_ylim(len(rows) - 0.5, -0.5)
        names = [drawn_name(r.row) + " (not run)" * (r.state != RUN) for r in rows]
        panels[0].set_yticks(range(len(rows)), names)
        unique = {handle.get_label(): handle for handle in handles}
        for ax in grid[-1]:
            ax.set_xlabel("test accuracy (%)")
        text = f"Bars: one standard deviation over seeds. Published: {caption}."
        legend = list(unique.values())
        return finish_page(fig, sheet=sheet, title=title, caption=text, legend=legend)
