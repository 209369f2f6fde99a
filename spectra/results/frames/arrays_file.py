"""Labelled arrays as an npz file: NumPy reads it, and what the arrays are lies in it as JSON."""

import io
from pathlib import Path

import msgspec
import numpy as np

from spectra.errors import InputError
from spectra.results.frames.labelled import Array, LabelledArray, LabelledArrays
from spectra.results.plain import from_plain
from spectra.system.files.arrays import npz_arrays, npz_names
from spectra.system.files.documents import parse_json
from spectra.system.files.writing import to_line, write_atomically

FORMAT = "spectra.arrays"
# Beside the arrays, what they are: JSON in one text.
_ABOUT = "about"
_WHAT = "arrays of 'spectra export --to npz:FILE'"
_LIMIT = "data_file"


def save_arrays(path: str | Path, arrays: LabelledArrays) -> None:
    """Write arrays atomically as npz; equal arrays give equal bytes.

    :func:`spectra.load_arrays` reads them with their labels, ``numpy.load`` without.

    Args:
        path: of the file.
        arrays: of :func:`spectra.to_arrays`.
    """
    about = {
        "format": FORMAT,
        "schema": 1,
        "coords": list(arrays.coords),
        "attrs": dict(arrays.attrs),
        "arrays": {
            name: {"dims": list(one.dims), "units": one.units, "says": one.says}
            for name, one in arrays.arrays.items()
        },
    }
    held: dict[str, Array] = {_ABOUT: np.array(to_line(about)), **arrays.coords}
    held |= {name: one.values for name, one in arrays.arrays.items()}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **held)
    write_atomically(Path(path), content.getvalue())


def load_arrays(path: str | Path) -> LabelledArrays:
    """Read the npz file that :func:`spectra.save_arrays` wrote.

    Args:
        path: the file.

    Raises:
        InputError: it is no such file, or is damaged.

    Example:
        >>> import tempfile, torch, spectra
        >>> data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
        >>> found = spectra.analyze_classes(torch.nn.Linear(4, 3), data, num_steps=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     spectra.save_arrays(f"{folder}/found.npz", spectra.to_arrays([found]))
        ...     read = spectra.load_arrays(f"{folder}/found.npz")
        >>> read.arrays["lambda_min"].dims, read.coords["class"].tolist()
        (('checkpoint', 'class'), [0, 1, 2])
    """
    path = Path(path)
    there = npz_names(path, _LIMIT)
    if _ABOUT not in there:
        raise InputError(f"{path} is no file of {_WHAT}")
    (text,) = npz_arrays(path, [_ABOUT], _LIMIT)
    plain = parse_json(str(text), origin=f"{path}: {_ABOUT}", what=_WHAT)
    if not isinstance(plain, dict) or plain.get("format") != FORMAT or plain.get("schema") != 1:
        raise InputError(f"{path} is no file of {_WHAT} that this version reads")
    about = from_plain(plain, _About, origin=f"{path}: {_ABOUT}")
    names = [*about.coords, *about.arrays]
    if missing := next((name for name in names if name not in there), None):
        raise InputError(f"{path} does not hold its array {missing!r}; it was changed")
    held = dict(zip(names, npz_arrays(path, names, _LIMIT), strict=True))
    coords = {name: held[name] for name in about.coords}
    arrays = {}
    for name, one in about.arrays.items():
        shape = held[name].shape
        along = dict(zip(one.dims, shape, strict=False))
        if len(shape) != len(one.dims) or any(
            dim in coords and coords[dim].shape != (length,) for dim, length in along.items()
        ):
            raise InputError(f"{path}: {name} has shape {shape}, which is not over {one.dims}")
        arrays[name] = LabelledArray(one.dims, held[name], one.units, one.says)
    return LabelledArrays(coords, arrays, about.attrs)


class _OfArray(msgspec.Struct, frozen=True):
    """What the file says of one array."""

    dims: tuple[str, ...]
    units: str
    says: str


class _About(msgspec.Struct, frozen=True):
    """What the file says of all of its arrays."""

    coords: tuple[str, ...]
    attrs: dict[str, str]
    arrays: dict[str, _OfArray]
