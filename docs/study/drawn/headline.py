"""|λmin/λmax| of classes of the paper's own network, as published and certified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stored import Measured, Network, StoredResults

from figures.style.colours import BLUE, GUIDE, VERMILION
from figures.style.page import finish_page
from figures.style.sheet import house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is drawn: protocol, where beside its class, colour, whether it is of a fixed matrix.
_MARKS = (
    ("plain", -0.12, BLUE, True),
    ("fresh/pyhessian", 0.12, VERMILION, False),
)
_CAPTION = (
    "Filled: the images held fixed; λmin ≤ the value is proven, and a line goes up to what the "
    "ratio may be (95 % over the start vector; estimated but for class 8) where it can be seen. "
    "Hollow: PyHessian's "
    "recurrence, new draws at every product, 100 steps, every seed of the draws; of no matrix."
)


def plot_headline(
    results: StoredResults, titles: Mapping[str, str], labels: Sequence[str]
) -> Figure:
    """Draw a panel for each network and epoch, classes from left to right.

    Args:
        results: all that are stored.
        titles: what networks are called, by their names.
        labels: the classes; those of which nothing is stored are left out.
    """
    panels = [
        (f"{title}\nepoch {epoch}", Network(name), epoch)
        for name, title in titles.items()
        for epoch in results.epochs(Network(name))
    ]
    drawn = {m.label for m in results.measured if m.network.name in titles}
    labels = [label for label in labels if label in drawn]
    with house_style() as sheet:
        fig = sheet.page(6.75, 2.4)
        axes = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, (title, network, epoch) in zip(axes, panels, strict=True):
            found = [m for m in results.measured if (m.network, m.epoch) == (network, epoch)]
            _draw_panel(ax, found, labels)
            ax.set_title(title)
        axes[0].set_ylabel("|λmin/λmax|")
        axes[0].set_yscale("log")
        axes[0].set_ylim(0.006, 1.5)
        axes[0].set_yticks([0.01, 0.1, 1], [".01", ".1", "1"])
        handles = [
            axes[0].plot(
                [], [], marker="o", ls="none", color=colour, mfc=colour if fixed else "white",
                label=name,
            )[0]
            for name, colour, fixed in (
                ("images held fixed, certified", BLUE, True),
                ("published protocol", VERMILION, False),
            )
        ]  # fmt: skip
        return finish_page(fig, caption=_CAPTION, legend=handles)


def _draw_panel(ax: Axes, found: Sequence[Measured], labels: Sequence[str]) -> None:
    for protocol, shift, colour, fixed in _MARKS:
        of = [m for m in found if m.protocol == protocol and m.label in labels]
        bounded = {m.label for m in of if m.bounded}
        for m in of:
            x = labels.index(m.label) + shift
            if fixed and m.bounded:
                ax.plot([x, x], [m.ratio_at_least, m.ratio_at_most], color=colour)
            elif fixed and m.label in bounded:
                continue
            ax.plot(
                [x], [m.row.ratio], marker="o", color=colour, ls="none", ms=4,
                mfc=colour if fixed else "white",
            )  # fmt: skip
    ax.axhline(1, color=GUIDE, lw=0.7, ls=":")
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_xlabel("class")
    ax.grid(axis="x", visible=False)
