"""What has come of a download: a file of its own, which nothing else can stand for."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from spectra.errors import InputError
from spectra.system.files.places import refuse_elsewhere

_READ = 1 << 20
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for somebody at the other end of a FIFO


class Part:
    """The file that a download comes into, open, with the digest of what it holds.

    Args:
        path: where it lies; made if need be.

    Raises:
        InputError: something else is there: a link, a folder, a device, a file of two names.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        refuse_elsewhere(path)
        self.path = path
        # The flag is for a link that comes in between.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINKS | _NO_WAIT, 0o666)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            self._file.close()
            raise InputError(
                f"{path} is not a file of its own, and a download is to go there; remove it, or "
                "choose another -o"
            )
        self._digest = hashlib.sha256()
        self.size = 0
        while content := self._file.read(_READ):
            self._digest.update(content)
            self.size += len(content)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()
        if not self.size:  # nothing came
            self.path.unlink(missing_ok=True)

    def add(self, content: bytes) -> None:
        """Write more at the end.

        Raises:
            OSError: the disk is full, or fails; names the file.
        """
        left = memoryview(content)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:  # which names no file of its own
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._digest.update(content)
        self.size += len(content)

    def empty(self) -> None:
        """Begin anew."""
        self._file.seek(0)
        self._file.truncate()
        self._digest, self.size = hashlib.sha256(), 0

    def sha256(self) -> str:
        """Return the digest of what is there."""
        return self._digest.hexdigest()

    def flush(self) -> None:
        """Have the disk hold what was written."""
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Close and delete it."""
        self._file.close()
        self.path.unlink(missing_ok=True)
