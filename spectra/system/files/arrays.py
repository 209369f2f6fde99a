"""Arrays of numbers as ``numpy.save`` and ``numpy.savez`` write them, from anybody.

NumPy's own reader evaluates the header as Python, and makes the array that the header states
before it looks for the numbers: 10 MB of zeros come out as 10 GB. Here the header is read as text,
and the array is made once the file is known to hold it.
"""

import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from spectra.errors import InputError
from spectra.system.files.reading import opened
from spectra.system.files.zip_parts import ZipParts, fill

NPY = b"\x93NUMPY"
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}  # of the header, by version
_LONGEST_HEADER = 4096  # ours: NumPy writes 128 for any array of numbers
_TYPE = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>=|]?)([?a-zA-Z])(\d{0,4})['"]""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d,\sL]*)\)""")
_NUMBERS = "?bhilqBHILQefdgFDGfiuc"
_MOST_AXES = 32  # NumPy's own until version 2


def npy_array(path: Path, limit: str) -> npt.NDArray[Any]:
    """Read a file of ``numpy.save``.

    Args:
        path: the file.
        limit: of its size, a name in :class:`spectra.system.files.limits.Limits`.

    Raises:
        InputError: it is no such file, is damaged, holds more than numbers, or is larger.
    """
    with opened(path, limit) as file:
        size = file.seek(0, 2)
        file.seek(0)
        return _array(file, size, str(path))


def npz_names(path: Path, limit: str) -> tuple[str, ...]:
    """Return the names of the arrays in a file of ``numpy.savez``; none is read.

    Raises:
        InputError: as for :func:`npz_arrays`.
    """
    with opened(path, limit) as file:
        return tuple(name.removesuffix(".npy") for name in _parts(file, path, "unpacked").names)


def npz_arrays(
    path: Path, names: Sequence[str], limit: str, unpacked: str = "unpacked"
) -> list[npt.NDArray[Any]]:
    """Read arrays of a file of ``numpy.savez`` or ``numpy.savez_compressed``.

    Args:
        path: the file.
        names: of the arrays, which are there.
        limit: of its size, a name in :class:`spectra.system.files.limits.Limits`.
        unpacked: the limit of what nearly empty arrays become, see :class:`ZipParts`.

    Raises:
        InputError: it is no such file, is damaged, holds more than numbers, or is larger.
    """
    found = []
    with opened(path, limit) as file:
        parts = _parts(file, path, unpacked)
        for name in names:
            member = f"{name}.npy" if f"{name}.npy" in parts else name
            with parts.opened(member) as part:
                found.append(_array(part, parts.size(member), f"{path}: {name}"))
    return found


def _parts(file: BinaryIO, path: Path, unpacked: str) -> ZipParts:
    start = file.read(len(NPY))
    if start == NPY:
        raise InputError(f"{path} is one array as numpy.save writes it; expected an npz file")
    if not start.startswith(b"PK"):
        raise InputError(f"cannot read {path}: it is no npz archive")
    return ZipParts(file, str(path), unpacked)


def _array(file: IO[bytes], size: int, origin: str) -> npt.NDArray[Any]:
    """Return the array in a file of ``size`` bytes, read from its beginning."""
    start = file.read(len(NPY) + 2)
    form = _LENGTHS.get(start[len(NPY)]) if len(start) == len(NPY) + 2 else None
    if not start.startswith(NPY) or form is None:
        raise InputError(f"cannot read {origin}: it is no array that numpy.save wrote")
    field = file.read(struct.calcsize(form))
    length = struct.unpack(form, field)[0] if len(field) == struct.calcsize(form) else size
    if length > _LONGEST_HEADER:
        raise InputError(
            f"cannot read {origin}: its header has {length} characters, and those of arrays of "
            f"numbers have {_LONGEST_HEADER} at most"
        )
    text = file.read(length).decode("latin1")
    kind, columns_first, shape = _header(text, origin)
    held = size - len(start) - len(field) - length
    count = math.prod(shape)
    if count * kind.itemsize != held:
        raise InputError(
            f"cannot read {origin}: its header states {kind} of shape {str(shape)[:60]}, which "
            f"takes {count * kind.itemsize if count < 2**63 else 'too many'} bytes, and it has "
            f"{held}; download or copy it again"
        )
    content = np.empty(held, np.uint8)
    try:
        fill(file, content)
    except EOFError as error:
        raise InputError(f"cannot read {origin}: {error}; download or copy it again") from error
    try:
        return content.view(kind).reshape(shape, order="F" if columns_first else "C")
    except ValueError as error:
        raise InputError(f"cannot read {origin}: {error}") from error


def _header(text: str, origin: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Return type, order and shape; nothing is evaluated."""
    kind, order, shape = (one.search(text) for one in (_TYPE, _ORDER, _SHAPE))
    if order is None or shape is None:
        raise InputError(f"cannot read {origin}: its header is none of numpy.save")
    if kind is None or kind[2] not in _NUMBERS + "US":
        what = "Python objects" if kind is not None and kind[2] == "O" else "records or objects"
        raise InputError(f"cannot read {origin}: it holds {what}, and only numbers are read")
    lengths = tuple(int(n) for n in re.findall(r"\d{1,30}", shape[1]))
    if len(lengths) > _MOST_AXES or max(lengths, default=0) >= 2**62:
        raise InputError(f"cannot read {origin}: no array has shape {shape[1][:60]!r}")
    try:
        found = np.dtype("".join(kind.groups()))
    except TypeError as error:
        raise InputError(f"cannot read {origin}: {error}") from error
    if not found.itemsize:
        raise InputError(f"cannot read {origin}: it holds texts of no characters")
    return found, order[1] == "True", lengths
