"""Writing files: under one folder, and so that a killed process leaves the old file or the new."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import numpy as np

from spectra.errors import InputError
from spectra.system.files.lock import check_held

# For ``field(metadata=...)`` of what files hold: written only where it is not the default.
WHEN_SET: Final[Mapping[str, Any]] = {"when_set": True}

# The folders that may be written to: of each block that is under way, the last one counts.
_ROOTS: ContextVar[tuple[Path, ...]] = ContextVar("roots", default=())


@contextlib.contextmanager
def writing_under(folder: Path) -> Iterator[None]:
    """Refuse, while the block runs, to write anywhere but in ``folder``.

    The folder itself is the caller's choice, and may be a link; nothing below it may. Inside
    another such block a folder below that block's changes nothing: the outer one stays the root.
    """
    roots = _ROOTS.get()
    root = next((outer for outer in roots if _below(folder, outer) is not None), folder)
    token = _ROOTS.set((*roots, root))
    try:
        yield
    finally:
        _ROOTS.reset(token)


def refuse_elsewhere(path: Path) -> None:
    """Raise InputError where writing to ``path`` would write elsewhere.

    That is outside the folder of :func:`writing_under`, or, where there is none, of the file's own;
    through a link below that folder; or into something that is no regular file, such as a device.

    Raises:
        InputError: names what is in the way.
    """
    root = (_ROOTS.get() or (path.parent,))[-1]
    parts = _below(path, root)
    if not parts:
        raise InputError(f"{path} lies outside of {root}, and nothing is written there")
    place = root
    for part in parts:
        place /= part
        if place.is_symlink():
            raise InputError(
                f"{place} is a link, and nothing is written through links; remove it, or choose "
                "another -o"
            )
    # What else leads away, such as a junction of Windows.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise InputError(f"{path} leads out of {root}, and nothing is written there")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise InputError(f"{path} is {kind}, and a file is to be written there; choose another -o")


def _below(path: Path, root: Path) -> tuple[str, ...] | None:
    """Return the parts of ``path`` after ``root``; None: it does not lie there."""
    if path.is_relative_to(root):
        parts = path.relative_to(root).parts
        return None if ".." in parts else parts
    whole, above = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    if ".." in path.parts or not whole.is_relative_to(above):
        return None
    return whole.relative_to(above).parts


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary neighbour, flush it to disk, and rename it to ``path``.

    Raises:
        InputError: see :func:`refuse_elsewhere`, and :func:`spectra.system.files.lock.check_held`:
            a folder that is held around it was deleted, moved or replaced.
        OSError: it cannot be written; the error names ``path``, not the neighbour.
    """
    check_held(path)
    refuse_elsewhere(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_beside(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_beside(path: Path, content: bytes) -> None:
    # O_EXCL follows no link. Rights are those that the user's umask leaves.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.tmp")
    handle = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def to_json(value: Any) -> str:
    """Return strict JSON (no NaN), keys in the order given, floats that read back exactly."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    """Return one of NumPy's numbers, which ``json`` does not know, as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r}")


def write_json(path: Path, value: Any) -> None:
    """Write :func:`to_json` of ``value`` atomically."""
    write_atomically(path, to_json(value).encode())
