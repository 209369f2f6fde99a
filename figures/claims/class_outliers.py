"""The largest eigenvalues beside those that the class means make, and what spans their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.style.colours import BLUE, GUIDE, VERMILION
from figures.style.page import finish_page
from figures.style.sheet import house_style
from spectra.results.claims.class_outliers_result import ClassOutliersResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_class_outliers(
    result: ClassOutliersResult, *, title: str | None = None, width: str = "screen"
) -> Figure:
    """Draw the largest eigenvalues of Hessian and class means, and how much these span.

    Args:
        result: what was measured; of a file it is what
            :func:`spectra.results.claims.class_outliers_result.load_class_outliers` returns.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    classes = result.protocol.num_classes
    values = [value for value in result.overall.outliers.values if value > 0]
    with house_style(width) as sheet:
        fig = sheet.page(6.75, 2.5)
        left, right = fig.subplots(1, 2)
        (whole,) = left.plot(
            range(1, len(values) + 1), values, "o", ms=4, color=BLUE, label="Hessian"
        )
        means = result.between_classes
        (between,) = left.plot(
            range(1, len(means) + 1), means, "x", ms=5, color=VERMILION, label="C class means"
        )
        left.set_yscale("log")
        left.set_ylabel("eigenvalue, log scale")
        place = range(1, len(result.top) + 1)
        right.plot(
            place, [100 * one.by_class_means for one in result.top], "x", ms=5, color=VERMILION
        )
        (crossed,) = right.plot(
            place, [100 * one.by_cross_means for one in result.top], "s", ms=4, color=GUIDE,
            label="C² means by class and candidate",
        )  # fmt: skip
        right.set_ylim(0, 105)
        right.set_ylabel("part of v spanned, %")
        for ax in (left, right):
            ax.axvline(classes + 0.5, color=GUIDE, lw=0.7)
            ax.set_xlabel("from the largest")
        caption = (
            f"Left: the largest eigenvalues; the line is behind C = {classes}. Right: how much of "
            "each eigenvector of the Hessian lies in the span of the means of gradients. Loss "
            f"{result.protocol.loss}, {result.protocol.images} {result.protocol.split} images."
        )
        legend = [whole, between, crossed]
        return finish_page(fig, sheet=sheet, title=title, caption=caption, legend=legend)
