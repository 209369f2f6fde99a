"""One image file: opened by Pillow, whatever it claims to be."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from spectra.errors import InputError
from spectra.system.files.limits import check_limit
from spectra.system.files.reading import opened

# What the suffixes stand for, whatever the content is: for PostScript, Pillow runs a program.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_SIXTEEN_BITS = "I;16"  # and what follows it says the order of the bytes
_TO_EIGHT_BITS = 257  # 65535 becomes 255
_THIRTY_TWO_BITS = ("I", "F")
_GREY = ("1", "L", "LA", *_THIRTY_TWO_BITS)


def pillow() -> ModuleType:
    """Return Pillow's module of images.

    Raises:
        InputError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            "reading images from files needs Pillow, which is not installed; pip install pillow"
        ) from error
    return Image


@contextlib.contextmanager
def opened_image(path: Path) -> Iterator[Any]:
    """Open an image whose header says how large it is; nothing is decoded yet.

    Raises:
        InputError: it is no regular file, no image, or has too many pixels.
    """
    module = pillow()
    with opened(path, "data_file") as file:
        its_own = module.MAX_IMAGE_PIXELS
        try:
            module.MAX_IMAGE_PIXELS = None  # type: ignore[attr-defined]  # ours is checked below
            image = module.open(file, formats=_FORMATS)
        except Exception as error:  # Pillow raises many things on a damaged file
            raise InputError(f"cannot read the image {path}: {reason(error)}") from error
        finally:
            module.MAX_IMAGE_PIXELS = its_own  # type: ignore[attr-defined]
        with image:
            check_limit("image_pixels", image.width * image.height, str(path))
            yield image


def reason(error: Exception) -> str:
    """Return in words what Pillow found wrong with a file."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is no image of a known kind"
    return str(error) or type(error).__name__


def is_coloured(image: Any) -> bool:
    """Say whether an image has colours."""
    mode: str = image.mode
    return mode not in _GREY and not mode.startswith(_SIXTEEN_BITS)


def in_eight_bits(image: Any, path: Path) -> Any:
    """Return an image with channels of eight bits: Pillow's own conversion cuts what is above 255.

    Raises:
        InputError: its pixels have 32 bits.
    """
    if image.mode in _THIRTY_TWO_BITS:
        raise InputError(
            f"{path} has pixels of 32 bits, whose black and white nothing tells; expected 8 or "
            "16 bits: convert it, or give the images as floats in an npz file"
        )
    if not image.mode.startswith(_SIXTEEN_BITS):
        return image
    pixels = (np.asarray(image).astype(np.uint32) + _TO_EIGHT_BITS // 2) // _TO_EIGHT_BITS
    return pillow().fromarray(pixels.astype(np.uint8))
