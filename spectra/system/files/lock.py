"""One process at a time in a folder that is written to, and the folder that it began with."""

import contextlib
import errno
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from spectra.errors import InputError
from spectra.system.files.places import refuse_elsewhere
from spectra.system.files.reading import opened
from spectra.system.foreign_text import short_name

logger = logging.getLogger(__name__)

LOCK = ".lock"
# Ours: a holder that is letting go takes less; somebody who has to choose another folder waits it.
_PATIENCE = 0.2
# Ours: a folder that is removed again at once comes of a neighbour that lets go, once or twice.
_ATTEMPTS = 10
# What file systems answer that know no locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
# Ours: a holder writes less than a hundred characters of itself.
_MOST_SAID = 300
# Ours: seconds that other processes of a job wait until the first one holds a folder; a shared file
# system may show them a new file half a minute late.
_ADMISSION, _LOOK = 90.0, 0.1


@dataclass(frozen=True)
class _Held:
    """A folder that this process holds, as it was named, and what it wrote into its lock."""

    folder: Path
    named: Path
    process: int
    mark: str


@dataclass(frozen=True)
class Job:
    """Several processes that write to the same folders, and whether this is their first one.

    Attributes:
        name: known to all of them, and to nobody else.
        first: whether this one holds the folders, in which the others are its guests.
    """

    name: str
    first: bool


_job: ContextVar[Job | None] = ContextVar("job", default=None)
# Of a context, so that a second thread is kept out as a second process is.
_held: ContextVar[tuple[_Held, ...]] = ContextVar("held", default=())


@contextlib.contextmanager
def holding_for(job: Job) -> Iterator[None]:
    """Have the folders that are held in the block open to all processes of ``job``."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, made if need be, while the block runs.

    A block within it may hold the same folder again. The system lets go when the process ends,
    however it ends: a killed one leaves the file behind, which then holds nobody up, nor does a
    copy of it in a copied folder. Processes on other machines are seen where the file system
    passes locks on; where it has none, nobody is kept out, which a warning says.

    While it is held, :func:`spectra.system.files.writing.write_atomically` writes nothing into it
    once it was deleted, moved or replaced, see :func:`check_held`.

    Args:
        folder: to write to.

    Raises:
        InputError: somebody else holds it, says who and since when; or it cannot be written to,
            see :func:`spectra.system.files.places.refuse_elsewhere`.
        OSError: the disk is full, or fails.
    """
    if any(one.folder == folder.resolve() for one in _held_here()):
        yield
        return
    job = _job.get()
    if job is not None and not job.first:
        with _as_guest(folder, job):
            yield
        return
    path = folder / LOCK
    refuse_elsewhere(path)
    lock = FileLock(path, fallback_to_soft=False)
    made = _acquire(lock, folder)
    began = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    # The last line tells it from what the same process writes of itself another time.
    mark = f"process {os.getpid()} on {socket.gethostname()} since {began}\n{uuid.uuid4()}\n"
    mark += f"{job.name}\n" if job else ""
    mine = _Held(folder.resolve(), folder.absolute(), os.getpid(), mark)
    token = _held.set((*_held_here(), mine))
    try:
        _mark(path, mark)
        yield
    finally:
        _held.reset(token)
        # Before it is let go: whoever has opened the file in the meantime finds it gone, and makes
        # another. Windows removes no file that is open.
        if _content(path) == mark:
            with contextlib.suppress(OSError):
                path.unlink()
        lock.release()
        with contextlib.suppress(OSError):  # something was written there
            for place in () if job else made:  # others may be about to write there
                place.rmdir()


@contextlib.contextmanager
def _as_guest(folder: Path, job: Job) -> Iterator[None]:
    """Write to ``folder``, which the first process of ``job`` holds, or a folder around it.

    Raises:
        InputError: that one is not seen to hold it.
    """
    until = time.monotonic() + _ADMISSION
    while (held := _held_by(job, folder)) is None:
        if time.monotonic() > until:
            raise InputError(
                f"the processes of this job do not see one folder as {folder}: rank 0 holds it, "
                f"and {socket.gethostname()} does not see it; choose an -o that all machines share"
            )
        time.sleep(_LOOK)
    token = _held.set((*_held_here(), held))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        _held.reset(token)


def _held_by(job: Job, folder: Path) -> _Held | None:
    """Return what the first process of ``job`` holds of ``folder`` and those around it.

    The outermost: it is held until the job ends, while those within are let go one by one.
    """
    for place in reversed((folder.absolute(), *folder.absolute().parents)):
        content = _content(place / LOCK)
        if job.name in content.splitlines():
            return _Held(place.resolve(), place, os.getpid(), content)
    return None


def check_held(path: Path) -> None:
    """Check, before ``path`` is written, that the folders held around it are still those.

    Raises:
        InputError: one was deleted, moved or replaced since; what is written now would lie in
            another folder than what was written before.
    """
    held = _held_here()
    if not held:
        return
    places = path.parent.resolve(), path.parent.absolute()
    for one in held:
        inside = places[0].is_relative_to(one.folder) or places[1].is_relative_to(one.named)
        if inside and _content(one.folder / LOCK) != one.mark:
            raise InputError(
                f"{one.folder}, or {LOCK} in it, was deleted, moved or replaced while this process "
                f"wrote to it, so {path.name} is not written; leave the folder alone and give the "
                "same command again, which makes what is missing"
            )


def _held_here() -> tuple[_Held, ...]:
    """Return what this process holds; a forked child has inherited it and holds nothing."""
    return tuple(one for one in _held.get() if one.process == os.getpid())


def _acquire(lock: FileLock, folder: Path) -> list[Path]:
    """Make the folder and lock it; return which folders that has made, the innermost first."""
    path = folder / LOCK
    made: list[Path] = []
    try:
        for attempt in range(_ATTEMPTS):
            made = [place for place in (folder, *folder.parents) if not place.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=_PATIENCE, poll_interval=_PATIENCE / 10)
                break
            except FileNotFoundError:  # whoever had made the folder has just removed it
                if attempt == _ATTEMPTS - 1:
                    raise
    except Timeout:
        raise InputError(
            f"{folder} is in use by {_said(path) or 'another process'}; wait for it to end, or "
            "choose another -o"
        ) from None
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{folder} is no folder; choose another -o") from error
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise InputError(
                f"cannot write to {folder} ({error.strerror}); choose another -o"
            ) from error
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning(
            "%s lies on a file system without locks; see to it that no other process writes there",
            folder,
        )
    return made


def _mark(path: Path, mark: str) -> None:
    """Write who holds a folder into its lock; leave none behind where the disk has no room."""
    try:
        path.write_text(mark, encoding="utf-8")
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def _said(path: Path) -> str:
    """Return what the holder wrote of itself."""
    return short_name(_content(path).partition("\n")[0])


def _content(path: Path) -> str:
    """Return the start of a lock's text; empty where there is none."""
    try:
        with opened(path, None) as file:
            return file.read(_MOST_SAID).decode(errors="replace")
    except InputError:
        return ""
