"""Writing files so that a killed process leaves either the old file or the new one."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from spectra.system.files.lock import check_held
from spectra.system.files.places import refuse_elsewhere

# For ``field(metadata=...)`` of what files hold: written only where it is not the default.
WHEN_SET: Final[Mapping[str, Any]] = {"when_set": True}


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary neighbour, flush it to disk, and rename it to ``path``.

    Raises:
        InputError: it would be written elsewhere, see
            :func:`spectra.system.files.places.refuse_elsewhere`; or a folder that is held around
            it was deleted, moved or replaced, see :func:`spectra.system.files.lock.check_held`.
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


def to_line(value: Any) -> str:
    """Return :func:`to_json` of ``value`` as one line without spaces."""
    return json.dumps(
        value, separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=_plain
    )


def _plain(value: Any) -> Any:
    """Return one of NumPy's numbers, which ``json`` does not know, as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r}")


def write_json(path: Path, value: Any) -> None:
    """Write :func:`to_json` of ``value`` atomically."""
    write_atomically(path, to_json(value).encode())
