"""Image files in folders, one folder a class, read by Pillow where that is installed."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from checkpoints.data.dataset import LabelledImages
from spectra.errors import InputError
from spectra.system.files.limits import check_limit
from spectra.system.foreign_text import printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# What the suffixes stand for, whatever the content is: for PostScript, Pillow runs a program.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
# Ours: photographs become 50 times their files at most, and one colour becomes 1,000 times its own.
_DENSE = 50
_GREY = ("1", "L", "LA")
_SIXTEEN_BITS = "I;16"  # and what follows it says the order of the bytes
_TO_EIGHT_BITS = 257  # 65535 becomes 255
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


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            "folder:PATH needs Pillow to read images, which is not installed; pip install pillow"
        ) from error
    return Image


def _opened(file: Path) -> Any:
    pillow = _pillow()
    its_own = pillow.MAX_IMAGE_PIXELS
    try:
        pillow.MAX_IMAGE_PIXELS = None  # type: ignore[attr-defined]  # ours is checked below
        image = pillow.open(file, formats=_FORMATS)
    except Exception as error:  # Pillow raises many things on a damaged file
        raise InputError(f"cannot read the image {file}: {error}") from error
    finally:
        pillow.MAX_IMAGE_PIXELS = its_own  # type: ignore[attr-defined]
    try:
        check_limit("image_pixels", image.width * image.height, str(file))
    except InputError:
        image.close()
        raise
    return image


def _is_coloured(file: Path) -> bool:
    with _opened(file) as image:
        mode: str = image.mode
        return mode not in (*_GREY, "I", "F") and not mode.startswith(_SIXTEEN_BITS)


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
    with _opened(file) as image:
        if image.mode in ("I", "F"):
            raise InputError(
                f"{file} has pixels of 32 bits, whose black and white nothing tells; expected 8 or "
                "16 bits: convert it, or give the images as floats in an npz file"
            )
        try:
            if image.mode.startswith(_SIXTEEN_BITS):
                image = _in_eight_bits(image)
            image = image.convert("L" if grey else "RGB")
            if size is not None and image.size != (size, size):
                image = image.resize((size, size), _pillow().Resampling.BILINEAR)
        except Exception as error:
            raise InputError(f"cannot read the image {file}: {error}") from error
        return np.asarray(image, dtype=np.uint8)


def _in_eight_bits(image: Any) -> Any:
    """Return a grey image of 16 bits in 8: Pillow's own conversion cuts what is above 255."""
    pixels = (np.asarray(image).astype(np.uint32) + _TO_EIGHT_BITS // 2) // _TO_EIGHT_BITS
    return _pillow().fromarray(pixels.astype(np.uint8))
