"""The best step along each eigenvector against the one that its curvature promises."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from figures.paging import parts
from figures.style.colours import BLUE, GUIDE, VERMILION
from figures.style.comparable import label_text
from figures.style.page import finish_page, write_header
from figures.style.sheet import PANELS, house_style
from figures.style.ticks import set_log_ticks
from spectra.results.claims.best_steps_result import BestStepsResult, StepsOfLoss

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_best_steps(
    result: BestStepsResult, *, title: str | None = None, width: str = "screen"
) -> Figure:
    """Draw the best learning rate along each eigenvector over 1/|λ|, a panel for each loss.

    Args:
        result: what was measured; of a file it is what
            :func:`spectra.results.claims.best_steps_result.load_best_steps` returns.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    with house_style(width) as sheet:
        fig, panels, columns = sheet.panels(len(result.losses), down=2.4, sharey=False)
        handles: dict[str, Artist] = {}
        for ax, loss in zip(panels, result.losses, strict=True):
            _draw(ax, loss, handles)
        for first in panels[::columns]:
            first.set_ylabel("best rate along v, log scale")
        caption = (
            "The step to the lowest point of the true loss along an eigenvector v, over the slope "
            "|⟨g, v⟩|, against 1/|λ|: on the line where a parabola that opens upwards has it. "
            "Hollow: the furthest step that was tried. Left out: steps that lower the loss by no "
            "more than rounding. Loss "
            f"{result.protocol.loss}, {result.protocol.images} {result.protocol.split} images."
        )
        legend = list(handles.values())
        return finish_page(fig, sheet=sheet, title=title, caption=caption, legend=legend)


def best_steps_pages(
    result: BestStepsResult, *, title: str | None = None, width: str = "screen"
) -> list[Figure]:
    """Draw :func:`plot_best_steps` on as many pages as six losses each take."""
    return [
        plot_best_steps(replace(result, losses=losses), title=title, width=width)
        for losses in parts(result.losses, PANELS)
    ]


def _draw(ax: Axes, loss: StepsOfLoss, handles: dict[str, Artist]) -> None:
    write_header(ax, f"{label_text(loss.label)} ({loss.n:,})")
    ends: list[float] = []
    for sign, name, colour in ((-1, "negative λ", VERMILION), (1, "positive λ", BLUE)):
        for limit in (False, True):
            chosen = [
                (1 / abs(step.value), abs(step.rate))
                for step in loss.of_sign(sign)
                if step.rate is not None and step.at_limit == limit
            ]
            if chosen:
                x, y = zip(*chosen, strict=True)
                ends += x
                face = "white" if limit else colour
                (marks,) = ax.plot(x, y, "o", ms=4, color=colour, mfc=face, label=name)
                if not limit:
                    handles.setdefault(name, marks)
    if ends:
        line = [min(ends), max(ends)]
        (guide,) = ax.plot(line, line, color=GUIDE, lw=0.8, label="1/|λ|")
        handles.setdefault("1/|λ|", guide)
        ax.set_xscale("log")
        ax.set_yscale("log")
        set_log_ticks(ax.xaxis, *ax.get_xlim())
    ax.set_xlabel("1/|λ|, log scale")
