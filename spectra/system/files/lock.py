"""One process at a time in a folder that is written to."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from spectra.errors import InputError

LOCK = ".lock"
# What file systems answer that know no locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, made if need be, while the block runs.

    The system lets go of it when the process ends, however it ends: a killed one leaves the file
    behind, which then holds nobody up. Processes on other machines are seen where the file system
    passes locks on; where it has none, nobody is kept out.

    Args:
        folder: to write to.

    Raises:
        InputError: somebody else holds it; says who.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"{folder} is in use by {_holder(path)}; wait for it to end, or choose another -o"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        # Before it is let go: whoever has opened the file in the meantime finds it gone, and makes
        # another. Windows removes no file that is open.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


def _holder(path: Path) -> str:
    """Return what the holder wrote of itself."""
    try:
        said = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        said = ""
    return said or "another process"
