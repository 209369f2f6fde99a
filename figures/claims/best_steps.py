"""The best step along each eigenvector against the one that its curvature promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.style.colours import BLUE, GUIDE, TEXT_WIDTH, VERMILION, house_style
from figures.style.comparable import label_text
from figures.style.page import finish_page, new_page
from spectra.results.claims.best_steps_result import BestStepsResult, StepsOfLoss

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_best_steps(result: BestStepsResult, *, title: str | None = None) -> Figure:
    """Draw the best learning rate along each eigenvector over 1/|λ|, a panel for each loss.

    Args:
        result: what was measured; of a file it is what
            :func:`spectra.results.claims.best_steps_result.load_best_steps` returns.
        title: above the panels.
    """
    with house_style():
        fig = new_page(TEXT_WIDTH, 2.4)
        row = fig.subplots(1, len(result.losses), squeeze=False)[0]
        handles: dict[str, Artist] = {}
        for ax, loss in zip(row, result.losses, strict=True):
            _draw(ax, loss, handles)
        row[0].set_ylabel("best learning rate along v")
        caption = (
            "The step to the lowest point of the true loss along an eigenvector v, over the slope "
            "|⟨g, v⟩|, against 1/|λ|: on the line where a parabola that opens upwards has it. "
            "Hollow: the furthest step that was tried. Left out: steps that lower the loss by no "
            "more than rounding. Loss "
            f"{result.protocol.loss}, {result.protocol.images} {result.protocol.split} images."
        )
        return finish_page(fig, caption=caption, legend=list(handles.values()), title=title)


def _draw(ax: Axes, loss: StepsOfLoss, handles: dict[str, Artist]) -> None:
    ax.set_title(f"{label_text(loss.label)} ({loss.n:,})", weight="bold")
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
    ax.set_xlabel("1/|λ|")
