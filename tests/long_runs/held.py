"""What a process holds: objects, threads, files, the code that is made in it, and memory."""

import ctypes
import gc
import linecache
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Held:
    """What a process holds once Python has looked for circles.

    Attributes:
        objects: that Python's collector knows.
        threads: of Python.
        handles: open files and sockets, where Linux tells.
        sources: of code that was made while running, which :mod:`linecache` keeps.
        modules: that are imported.
    """

    objects: int
    threads: int
    handles: int
    sources: int
    modules: int

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        folder = _PROCESS / "fd"
        return cls(
            objects=len(gc.get_objects()),
            threads=threading.active_count(),
            handles=len(list(folder.iterdir())) if folder.exists() else 0,
            sources=sum(name.startswith("<") for name in linecache.cache),
            modules=len(sys.modules),
        )


def count_of(kind: type) -> int:
    """Return how many objects of exactly this type there are, before Python looks for circles."""
    return sum(type(found) is kind for found in gc.get_objects())


def left_by(action: Callable[[], object], *, times: int, first: int = 2) -> Held:
    """Return how much more is held after ``times`` runs of ``action`` than before them.

    Args:
        action: what is run.
        times: how often.
        first: runs before anything is counted: they fill caches and import modules.
    """
    for _ in range(first):
        action()
    before = Held.now()
    for _ in range(times):
        action()
    return Held(*(b - a for a, b in zip(astuple(before), astuple(Held.now()), strict=True)))


def resident_bytes() -> int | None:
    """Return the memory of the process once what is free was given back; None: not on Linux."""
    if not (_PROCESS / "statm").exists():
        return None
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int((_PROCESS / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
