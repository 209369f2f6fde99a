"""Reading files that somebody named: regular ones alone, and none larger than its limit."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from spectra.errors import InputError
from spectra.system.files.limits import check_limit

_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip
# Ours: no weights, images or texts are compressed to a sixteenth by the file system they lie on.
_LARGE, _DENSE = 2**26, 16
# A pipe is not waited for; Windows has no such flag, and wants to be told that bytes are read.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def opened(path: Path, limit: str | None) -> Iterator[BufferedReader]:
    """Open a regular file of at most a size.

    Anything else is refused: a pipe that nobody writes to waits for ever, and /dev/zero never ends.

    Args:
        path: the file.
        limit: of its size, a name in :class:`spectra.system.files.limits.Limits`; None: any size,
            for what is read piece by piece, or is of our own making.

    Raises:
        InputError: it is no regular file, cannot be opened or read, or is larger.
    """
    try:
        _refuse_other_kinds(path, os.stat(path).st_mode)
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            found = os.fstat(file.fileno())
            _refuse_other_kinds(path, found.st_mode)  # it may be another by now
            _refuse_holes(path, found)
            if limit is not None:
                check_limit(limit, found.st_size, str(path))
            yield file
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        if isinstance(error, InputError) or "null" not in str(error):
            raise
        raise InputError(f"cannot read {str(path)!r}: {error}") from error


def file_digest(path: Path) -> str | None:
    """Return the SHA-256 of a file; None where there is none, or it cannot be read."""
    try:
        with opened(path, None) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except InputError:
        return None


def _refuse_holes(path: Path, found: os.stat_result) -> None:
    """Refuse a large file that is hardly stored at all: its zeros are a statement, not content."""
    stored = 512 * getattr(found, "st_blocks", 0)  # 0 where a file system does not count them
    if found.st_size > _LARGE and 0 < stored < found.st_size // _DENSE:
        raise InputError(
            f"cannot read {path}: of its {found.st_size:,} bytes {stored:,} are stored, and the "
            "rest is empty; download or copy it again"
        )


def read_bytes(path: Path, limit: str | None) -> bytes:
    """Return what a regular file of at most a size holds, see :func:`opened`."""
    with opened(path, limit) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def _refuse_other_kinds(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise InputError(f"cannot read {path}: expected a file, got {kind}")
