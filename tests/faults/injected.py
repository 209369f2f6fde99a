"""Faults inside the process that a command runs in: at its N-th write, or of its limits and clock.

A write point is a moment before a file or folder of the command's folder is opened for writing,
renamed, removed, made or flushed to disk; Python's audit events name them, so that nothing of the
program is replaced. They come in one order in every run of one command.
"""

import errno
import os
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = (
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
)
_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def install(fault: dict[str, Any]) -> None:
    """Prepare what is to happen.

    ``fault`` names its ``kind``, the ``root`` whose writes are counted, and by its kind:

    - ``none``, with ``record``: write the write points to that file, one a line;
    - ``signals``: send ``signals``, one a time, ``pause`` seconds between, at write point ``at``;
    - ``refused``: every write from ``at`` on fails with ``error``, the name of an errno;
    - ``vanished``: remove ``root`` at ``at``, or with ``seed`` one of its files;
    - ``file_size``, ``memory``: no file may grow past ``bytes``, the process by no more than them;
    - ``clock``: the clocks jump, by ``seed``.
    """
    kind = fault["kind"]
    if kind == "file_size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["bytes"], fault["bytes"]))
    elif kind == "memory":
        most = _address_space() + fault["bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    elif kind == "clock":
        _shake_clocks(random.Random(fault["seed"]))
    elif kind != "none" or fault.get("record"):
        _WritePoints(fault).listen()


class _WritePoints:
    """Counts the write points, and lets happen what is to happen at one."""

    def __init__(self, fault: dict[str, Any]) -> None:
        self.fault = fault
        self.root = os.path.realpath(fault["root"])
        self.seen = 0
        self.busy = False
        self.happens: Callable[[str], None] = getattr(self, f"_{fault['kind']}")

    def listen(self) -> None:
        """Count from now on."""
        flush = os.fsync

        def fsync(handle: int) -> None:
            self._count("os.fsync", os.readlink(f"/proc/self/fd/{handle}"))
            flush(handle)

        os.fsync = fsync
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and (flags or 0) & _FOR_WRITING:
                self._count(event, os.fsdecode(path))
        elif event in _CHANGES:
            self._count(event, os.fsdecode(os.fspath(arguments[1 if event == "os.link" else 0])))

    def _count(self, event: str, path: str) -> None:
        if self.busy or not os.path.realpath(path).startswith(self.root):
            return
        self.busy = True
        try:
            self.happens(f"{event} {path}")
            self.seen += 1
        finally:
            self.busy = False

    def _none(self, what: str) -> None:
        with open(self.fault["record"], "a", encoding="utf-8") as file:
            file.write(what + "\n")

    def _signals(self, what: str) -> None:
        if self.seen == self.fault["at"]:
            for number, sent in enumerate(self.fault["signals"]):
                time.sleep(self.fault["pause"] if number else 0)
                os.kill(os.getpid(), sent)

    def _refused(self, what: str) -> None:
        # Removing is what disks that are full, and our own cleaning up, allow.
        removes = what.startswith(("os.remove", "os.rmdir"))
        code = getattr(errno, self.fault["error"])
        if self.seen >= self.fault["at"] and not (removes and code == errno.ENOSPC):
            self.seen += 1
            raise OSError(code, os.strerror(code), what.partition(" ")[2])

    def _vanished(self, what: str) -> None:
        if self.seen != self.fault["at"]:
            return
        if "seed" not in self.fault:
            shutil.rmtree(self.root, ignore_errors=True)
            return
        there = sorted(p for p in Path(self.root).rglob("*") if p.is_file() and p.name[0] != ".")
        if there:
            random.Random(self.fault["seed"]).choice(there).unlink()


def _address_space() -> int:
    """Return how many bytes of addresses the process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _shake_clocks(rng: random.Random) -> None:
    """Let the clocks jump: the wall's both ways by years, the monotonic ones forward by days."""
    wall, steady, fine = time.time, time.monotonic, time.perf_counter
    ahead = [0.0, 0.0]

    def jump(of: int, least: float, most: float) -> float:
        if rng.random() < 0.3:
            ahead[of] += rng.uniform(least, most)
        return ahead[of]

    time.time = lambda: max(0.0, wall() + jump(0, -1e8, 1e8))
    time.monotonic = lambda: steady() + jump(1, 0.0, 1e5)
    time.perf_counter = lambda: fine() + jump(1, 0.0, 1e5)


def stop_after(pid: int, seconds: float, signals: list[int], pause: float) -> None:
    """Wait ``seconds``, then send ``signals`` to a process, ``pause`` between, while it lives."""
    if not signals:
        time.sleep(seconds)
    for number, sent in enumerate(signals):
        time.sleep(pause if number else seconds)
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            return
