"""A sheet of the images that carry λmin and λmax of one loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from figures.style.colours import BLUE, MUTED, VERMILION
from figures.style.comparable import label_text, number
from figures.style.page import finish_page
from figures.style.sheet import Sheet, house_style
from spectra.results.directions.image_curvatures import (
    ENDS,
    HIGHEST,
    LOWEST,
    ImageCurvature,
    ImageCurvatures,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Ours: images beside each other where a panel would be, and how many of each end are shown.
IMAGES = 2
SHOWN = 12
_NAMES = {LOWEST: "λmin", HIGHEST: "λmax"}
_COLOURS = {LOWEST: VERMILION, HIGHEST: BLUE}


def plot_image_sheet(
    curvatures: ImageCurvatures,
    pixels: Mapping[int, Any],
    *,
    show: int = SHOWN,
    title: str | None = None,
    width: str = "screen",
) -> Figure:
    """Draw the images that carry the largest shares of λmin, and below them those of λmax.

    Under each image stand its position in the split, its share, its loss, and what the network
    takes it for where that is wrong.

    Args:
        curvatures: of one loss.
        pixels: images by position, shape (height, width, 1 or 3), from 0 to 1, as
            :func:`checkpoints.analysis.directions.thumbnails.thumbnails` gives them; where an
            image is missing, its text stands alone.
        show: images of each end at most.
        title: above the sheet.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    ranked = {end: curvatures.ranked(end)[:show] for end in ENDS}
    tall = 1.62 if pixels else 0.55  # inches of a row: the picture, and its three lines of text
    with house_style(width) as sheet:
        columns = IMAGES * sheet.across
        rows = {end: max(1, math.ceil(len(images) / columns)) for end, images in ranked.items()}
        fig = sheet.page(6.75, tall * sum(rows.values()) + 0.5)
        parts: list[SubFigure] = list(
            fig.subfigures(2, 1, squeeze=False, height_ratios=[rows[end] for end in ENDS])[:, 0]
        )
        for part, end in zip(parts, ENDS, strict=True):
            _block(part, curvatures, end, ranked[end], pixels, (rows[end], columns), sheet)
        caption = (
            "Share: w_i vᵀ∇²ℓ_i v / Σ w over the eigenvalue, v its eigenvector; the shares of all "
            f"{len(curvatures.images):,} images add up to 1. Numbers after #: position in the "
            "split."
        )
        return finish_page(fig, sheet=sheet, title=title, caption=caption)


def _block(
    part: SubFigure,
    curvatures: ImageCurvatures,
    end: str,
    images: Sequence[ImageCurvature],
    pixels: Mapping[int, Any],
    size: tuple[int, int],
    sheet: Sheet,
) -> None:
    """Draw the images of one end."""
    value = number(curvatures.eigenvalue(end))
    part.suptitle(
        f"{label_text(curvatures.label)}: images that carry {_NAMES[end]} = {value}",
        x=0.01, ha="left", weight="bold", color=_COLOURS[end],
    )  # fmt: skip
    grid = part.subplots(*size, squeeze=False)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, image in zip(grid.flat, images, strict=False):
        _picture(ax, image, curvatures.share(image, end), pixels.get(image.position), sheet)


def _picture(ax: Axes, image: ImageCurvature, share: float, pixels: Any, sheet: Sheet) -> None:
    if pixels is not None:
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_anchor("N")  # what room there is left is for the text
    wrong = image.predicted != image.label
    taken = f"{image.label} taken for {image.predicted}" if wrong else f"class {image.label}"
    part = percent(share).replace("-", "−")
    ax.text(
        0.5, -0.06 if pixels is not None else 1.0,
        f"#{image.position}  {part}\n{taken}\nloss {number(image.loss)}",
        transform=ax.transAxes, ha="center", va="top", color=VERMILION if wrong else MUTED,
        fontsize=sheet.small_font, linespacing=1.2,
    )  # fmt: skip
