"""Image files in folders, one folder a class, read by Pillow where that is installed."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from checkpoints.data.dataset import LabelledImages
from checkpoints.data.photos.image_files import (
    in_eight_bits,
    is_coloured,
    opened_image,
    pillow,
    reason,
)
from spectra.errors import InputError
from spectra.system.files.limits import check_limit
from spectra.system.foreign_text import printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Ours: photographs become 50 times their files at most, and one colour becomes 1,000 times its own.
_DENSE = 50
_TRAIN, _TEST = ("train",), ("test", "val", "valid", "validation")


def read_folder(
    place: str,
) -> tuple[LabelledImages, LabelledImages | None, tuple[str, ...]]:
    """Read ``PATH`` or ``PATH,SIZE``: each folder in it is a class, in alphabetical order.

    Where it holds ``train`` and ``test`` (or ``val``), those hold the classes.

    Args:
        place: the folder, and the pixels of a side that images are resized to.

    Returns:
        Training and test images, uint8 (n, channels, h, w), and a note on the classes.

    Raises:
        InputError: there is no such folder, it holds no images, they differ in size and no size is
            given, or Pillow is not installed.
    """
    text, size = _size_of(place)
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; expected folder:PATH, one folder a class")
    train = next((folder / name for name in _TRAIN if (folder / name).is_dir()), None)
    test = next((folder / name for name in _TEST if (folder / name).is_dir()), None)
    if train is None or test is None:
        train, test = folder, None
    classes = _classes(train)
    if test is not None and (absent := set(_classes(test)) - set(classes)):
        raise InputError(f"{test} has classes that {train} has not: {', '.join(sorted(absent))}")
    grey = not any(_is_coloured(f) for part in (train, test) if part for f in _files(part, classes))
    read = [
        None if part is None else _labelled(part, classes, size, grey=grey)
        for part in (train, test)
    ]
    assert read[0] is not None
    named = ", ".join(f"{number} {printable(name)}" for number, name in enumerate(classes[:10]))
    more = f" and {len(classes) - 10} more" if len(classes) > 10 else ""
    return read[0], read[1], (f"classes of {folder.name} by folder: {named}{more}",)


def _size_of(place: str) -> tuple[str, int | None]:
    text, comma, size = place.rpartition(",")
    if not comma:
        return place, None
    if not size.isdecimal() or not 1 <= int(size) <= 4096:
        raise InputError(f"expected folder:PATH,SIZE with SIZE in pixels, such as 32, got {size!r}")
    return text, int(size)


def _classes(folder: Path) -> list[str]:
    found = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not found:
        raise InputError(f"{folder} holds no folders; expected one folder of images a class")
    check_limit("classes", len(found), f"{folder}: its folders")
    return found


def _files(folder: Path, classes: list[str]) -> list[Path]:
    return [file for name in classes for file in _images_in(folder / name)]


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())


def _is_coloured(file: Path) -> bool:
    with opened_image(file) as image:
        return is_coloured(image)


def _labelled(folder: Path, classes: list[str], size: int | None, *, grey: bool) -> LabelledImages:
    images, labels = [], []
    first: tuple[Path, Any] | None = None
    unpacked = 0
    for label, name in enumerate(classes):
        for file in _images_in(folder / name):
            pixels = _pixels(file, size, grey=grey)
            if first is not None and pixels.shape != first[1]:
                there, here = ("x".join(map(str, s[:2])) for s in (first[1], pixels.shape))
                raise InputError(
                    f"images must be of one size, {first[0]} is {there} and {file} is {here}; "
                    "resize them with folder:PATH,SIZE, such as folder:PATH,32"
                )
            first = first or (file, pixels.shape)
            if pixels.nbytes > _DENSE * file.stat().st_size:
                unpacked += pixels.nbytes
                check_limit("unpacked", unpacked, f"{folder}: images that are nearly empty")
            images.append(pixels)
            labels.append(label)
    if not images:
        raise InputError(f"{folder} holds no images; expected {', '.join(SUFFIXES[:4])} files")
    stacked = torch.from_numpy(np.stack(images))
    stacked = stacked[:, None] if grey else stacked.permute(0, 3, 1, 2).contiguous()
    return LabelledImages(stacked, torch.tensor(labels, dtype=torch.int64))


def _pixels(file: Path, size: int | None, *, grey: bool) -> Any:
    with opened_image(file) as image:
        try:
            pixels = in_eight_bits(image, file).convert("L" if grey else "RGB")
            if size is not None and pixels.size != (size, size):
                pixels = pixels.resize((size, size), pillow().Resampling.BILINEAR)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"cannot read the image {file}: {reason(error)}") from error
        return np.asarray(pixels, dtype=np.uint8)
