"""Pictures of the images that ``images.json`` ranks, and their file ``pictures.npz``."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spectra.errors import InputError
from spectra.system.files.arrays import npz_arrays, npz_names
from spectra.system.files.writing import write_atomically

_NAMES = ("positions", "pixels")
# What a zip archive may state of pixels: as much as of the images themselves.
_LIMIT = "data_file"


def save_pictures(path: str | Path, pictures: Mapping[int, npt.NDArray[Any]]) -> None:
    """Write pictures of one size atomically; the same pictures give the same bytes.

    Args:
        path: ``pictures.npz``, beside ``images.json``.
        pictures: by position in the split, shape (height, width, 1 or 3), from 0 to 1; kept in
            255 steps. At least one.
    """
    positions = sorted(pictures)
    pixels = np.stack([pictures[k] for k in positions])
    content = io.BytesIO()
    np.savez_compressed(
        content,
        positions=np.array(positions, dtype=np.int64),
        pixels=np.round(255 * pixels.clip(0, 1)).astype(np.uint8),
    )
    write_atomically(Path(path), content.getvalue())


def load_pictures(path: str | Path) -> dict[int, npt.NDArray[np.uint8]]:
    """Read a ``pictures.npz``: pictures of bytes by position in the split.

    Raises:
        InputError: it is no such file, or is damaged.
    """
    path = Path(path)
    if set(npz_names(path, _LIMIT)) != set(_NAMES):
        raise InputError(f"{path} is no pictures.npz of 'spectra images'")
    positions, pixels = npz_arrays(path, _NAMES, _LIMIT)
    fits = pixels.ndim == 4 and pixels.shape[3] in (1, 3) and pixels.dtype == np.uint8
    if not fits or positions.shape != pixels.shape[:1] or positions.dtype.kind not in "iu":
        raise InputError(
            f"{path}: expected pixels of bytes, shape (k, height, width, 1 or 3), and k positions; "
            f"got shapes {pixels.shape} and {positions.shape}"
        )
    return dict(zip(positions.tolist(), pixels, strict=True))
