"""Files to pixels: what a worker process does with some paths."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from checkpoints.data.photos.crops import crop_box
from checkpoints.data.photos.image_files import in_eight_bits, opened_image, pillow, reason
from spectra.errors import InputError
from spectra.system.files.limits import raised_limits
from spectra.system.files.reading import opened

# Published evaluation: the short side is resized to 256 where 224 in the middle are cut out.
WHOLE, CUT = 256, 224
# A JPEG is decoded at a half, a quarter or an eighth where that leaves so many times the pixels of
# a side that are asked for: 2 as in Pillow's own thumbnails, where an image stands for itself; 1
# (ours) for a random crop, whose scale is random anyway.
_SPARE_EVALUATED, _SPARE_CROPPED = 2.0, 1.0
# Ours: bytes at the end of a file, which tell most files of one size apart.
_END = 2**14


class Fault(NamedTuple):
    """An image file that cannot be used, and why."""

    path: str
    why: str


class Decode(NamedTuple):
    """Some images to decode.

    Attributes:
        root: folder that the paths are relative to.
        paths: of the images.
        size: pixels of a side to make of each.
        draws: random crops, float32 (CROP_ROWS, n); None: the middle, as in evaluation.
        pixels: the limit ``image_pixels`` in force.
    """

    root: str
    paths: tuple[str, ...]
    size: int
    draws: npt.NDArray[np.float32] | None
    pixels: int


class Look(NamedTuple):
    """Some images to look at: is there a file, and does it begin as an image does.

    Attributes:
        root: folder that the paths are relative to.
        paths: of the images.
        decode: whether all of it is decoded, too.
        pixels: the limit ``image_pixels`` in force.
    """

    root: str
    paths: tuple[str, ...]
    decode: bool
    pixels: int


class Digest(NamedTuple):
    """Some files whose content is to be compared: the end of each, or all of it."""

    root: str
    paths: tuple[str, ...]
    whole: bool


class Decoded(NamedTuple):
    """Images, uint8 (n, 3, size, size), black where there is a fault."""

    images: Tensor
    faults: tuple[Fault, ...]


def decode(work: Decode) -> Decoded:
    """Decode images, each cropped and resized."""
    made = torch.zeros((len(work.paths), 3, work.size, work.size), dtype=torch.uint8)
    faults = []
    with raised_limits(image_pixels=work.pixels), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow: damaged EXIF data, odd palettes
        for i, path in enumerate(work.paths):
            draw = None if work.draws is None else work.draws[:, i]
            try:
                made[i] = _view(Path(work.root, path), work.size, draw)
            except InputError as error:
                faults.append(Fault(path, _without(str(error), work.root, path)))
    return Decoded(made, tuple(faults))


def look(work: Look) -> tuple[Fault, ...]:
    """Return what is wrong with images."""
    faults = []
    with raised_limits(image_pixels=work.pixels), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in work.paths:
            place = Path(work.root, path)
            try:
                with opened_image(place) as image:
                    if work.decode:
                        _rgb(image, place)
            except InputError as error:
                faults.append(Fault(path, _without(str(error), work.root, path)))
    return tuple(faults)


def digests(work: Digest) -> tuple[bytes | None, ...]:
    """Return a digest of each file; None of those that cannot be read."""
    found: list[bytes | None] = []
    for path in work.paths:
        try:
            with opened(Path(work.root, path), "data_file") as file:
                if not work.whole:
                    file.seek(max(0, os.fstat(file.fileno()).st_size - _END))
                found.append(hashlib.file_digest(file, "sha256").digest())
        except InputError:
            found.append(None)
    return tuple(found)


def _view(path: Path, size: int, draw: npt.NDArray[np.float32] | None) -> Tensor:
    """Return one image, uint8 (3, size, size): a random crop, or the middle."""
    with opened_image(path) as image:
        full = image.size
        if draw is None:
            box = _middle(*full)
            spare = _SPARE_EVALUATED
        else:
            box = crop_box(draw, *full)
            spare = _SPARE_CROPPED
        side = min(box[2] - box[0], box[3] - box[1])
        if side > spare * size:  # elsewhere a draft would be the image itself
            factor = side / (spare * size)
            image.draft("RGB", (int(full[0] / factor), int(full[1] / factor)))
        pixels = _rgb(image, path)
        across, down = pixels.width / full[0], pixels.height / full[1]
        scaled = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        pixels = pixels.resize((size, size), pillow().Resampling.BILINEAR, box=scaled)
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


def _middle(width: int, height: int) -> tuple[float, float, float, float]:
    """Return the square that evaluation cuts out, in pixels of the image before it is resized.

    So cutting and resizing are one step; the published code rounds to whole pixels in between.
    """
    side = min(width, height) * CUT / WHOLE
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _rgb(image: Any, path: Path) -> Any:
    try:
        return in_eight_bits(image, path).convert("RGB")
    except InputError:
        raise
    except Exception as error:  # Pillow raises many things on a damaged file
        raise InputError(f"cannot read the image {path}: {reason(error)}") from error


def _without(text: str, root: str, path: str) -> str:
    """Return what is wrong without the path, which stands beside it."""
    place = str(Path(root, path))
    return (
        text.replace(f"cannot read the image {place}: ", "")
        .replace(f"cannot read {place}: ", "")
        .removeprefix(f"{place}: ")
        .removeprefix(f"{place} ")
    )
