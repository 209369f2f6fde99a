"""Sections of a report that further commands fill, and what stands there where none did."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from figures.report.contents import MissingSections
from figures.report.contents_of_rows import ClassRow
from figures.report.contents_of_sections import (
    CarryingImage,
    ComparedProtocols,
    ComparedRow,
    ImagesOfLoss,
)
from figures.report.found_results import FoundImages, FoundProtocols, FoundResults
from spectra.results.directions.image_curvatures import HIGHEST, LOWEST, ImageCurvatures
from spectra.results.directions.pictures_file import load_pictures
from spectra.system.foreign_text import short_name

# Ours: of either end; what follows them adds little, and each picture takes room.
SHOWN = 12
PICTURES_FILE = "pictures.npz"
# Ours: a picture of the page is as wide as this on a screen.
LARGEST_SIDE = 48


def compared(found: FoundProtocols) -> ComparedProtocols:
    """Return a comparison of choices of images."""
    names = [f.name for f in fields(ComparedRow)]
    rows = [ComparedRow(**{name: getattr(row, name) for name in names}) for row in found.rows]
    return ComparedProtocols(short_name(found.title), tuple(rows))


def images_of(found: FoundImages) -> list[ImagesOfLoss]:
    """Return the images of each loss that add most to its λmin and to its λmax."""
    known = found.result.checkpoint
    title = known.name if known.epoch is None else f"{known.name}, epoch {known.epoch}"
    file = found.folder / PICTURES_FILE
    pictures = (
        {k: picture_address(p) for k, p in load_pictures(file).items()} if file.is_file() else {}
    )
    return [
        ImagesOfLoss(
            text=short_name(title),
            label=one.label,
            split=found.result.protocol.split,
            sentence=one.sentence,
            lambda_min=one.lambda_min,
            lambda_max=one.lambda_max,
            images=len(one.images),
            lowest=_carrying(one, LOWEST, pictures),
            highest=_carrying(one, HIGHEST, pictures),
        )
        for one in found.result.losses
    ]


def _carrying(
    one: ImageCurvatures, end: str, pictures: Mapping[int, str]
) -> tuple[CarryingImage, ...]:
    return tuple(
        CarryingImage(
            position=image.position,
            label=image.label,
            predicted=image.predicted,
            loss=image.loss,
            share=one.share(image, end),
            picture=pictures.get(image.position),
        )
        for image in one.ranked(end)[:SHOWN]
    )


def missing_sections(found: FoundResults, rows: Sequence[ClassRow]) -> MissingSections:
    """Return for each section without contents which command makes them."""
    epochs: dict[tuple[int, str | None, str], set[int | None]] = {}
    for row in rows:
        epochs.setdefault((row.run, row.split, row.label), set()).add(row.epoch)
    return MissingSections(
        densities=None
        if any(row.density for row in rows)
        else "No density here: only the extreme eigenvalues were computed. "
        "'spectra analyze CHECKPOINT --num-probes 2' computes densities.",
        trajectories=None
        if any(len(each) > 1 for each in epochs.values())
        else "No trajectory here: every run has one checkpoint. 'spectra trajectory RUN' analyzes "
        "all checkpoints of a run.",
        protocols=None
        if found.protocols
        else "No comparison of protocols here. 'spectra analyze CHECKPOINT --compare-protocols' "
        "computes λmin and λmax over plain, frozen and fresh images.",
        images=None
        if found.images
        else "No images here. 'spectra images CHECKPOINT --class 8' finds which images of a class "
        "carry its negative curvature.",
    )


def picture_address(pixels: npt.NDArray[np.uint8]) -> str:
    """Return a picture as a PNG in a ``data:`` address.

    Args:
        pixels: shape (height, width, 1 or 3); what is larger than 48 pixels is made smaller.
    """
    from PIL import Image  # comes with matplotlib

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(image.size) > LARGEST_SIDE:
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    content = io.BytesIO()
    image.save(content, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
