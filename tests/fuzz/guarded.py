"""Reading what a stranger handed over, under watch: time, memory, and nothing but reading."""

import contextlib
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from spectra.errors import SpectraError

# What the project promises of any file that is no larger than these here are.
SECONDS, MEMORY = 10, 2**30
CANARY = "canary_in_a_file"
_FORBIDDEN = (
    "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.startfile", "os.kill", "os.chmod",
    "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.putenv", "pty.spawn",
    "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "webbrowser.open",
    "subprocess.Popen", "shutil.rmtree", "ctypes.dlopen",
)  # fmt: skip


class TooLongError(BaseException):
    """No ``Exception``, so that no reader takes it for damage of a file."""


class EscapedError(BaseException):
    """Something was done that no file may cause."""


class _Watch:
    """Hears of what is done while it is on; audit hooks cannot be taken away."""

    def __init__(self) -> None:
        self.on = False
        self.heard: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in _FORBIDDEN or (event == "import" and str(arguments[0]).startswith(CANARY)):
            self.heard.append(f"{event} {arguments}"[:300])
            raise EscapedError(self.heard[-1])
        writes = event == "open" and set(str(arguments[1] or "")) & set("wax+")
        if writes and ".pyc" not in str(arguments[0]):  # of modules that are imported late
            self.heard.append(f"{event} {arguments}"[:300])
            raise EscapedError(self.heard[-1])


_WATCH = _Watch()


@contextlib.contextmanager
def guarded(*, timed: bool = True) -> Iterator[None]:
    """Fail where the block takes long, much memory, or does more than to read.

    Args:
        timed: whether to watch the time; a fuzzer has an alarm of its own.
    """
    before = _most_memory()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if timed:
        handler = signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
    # Twice as much, so that going past the promise is seen, and the machine stays usable.
    resource.setrlimit(resource.RLIMIT_AS, (space + 2 * MEMORY, hard))
    _WATCH.on, _WATCH.heard = True, []
    try:
        yield
    finally:
        _WATCH.on = False
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    if _WATCH.heard:
        raise EscapedError(_WATCH.heard[0])
    if _most_memory() - before > MEMORY:
        raise MemoryError(f"took {(_most_memory() - before) / 2**20:.0f} MiB")


def attempt(reader: Any, content: bytes, folder: Path, *, timed: bool = True) -> Any:
    """Return what a reader of :mod:`reader_table` makes of ``content``; None where it refuses.

    Raises:
        AssertionError: it gives something else than it says.
        Exception: any other than the project's own.
    """
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    reader.beside(path)
    path.write_bytes(reader.wrap(content))
    with guarded(timed=timed):
        try:
            found = reader.read(path)
        except SpectraError:
            return None
    assert isinstance(found, reader.gives), f"{reader.name} gives {type(found).__name__}"
    return found


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLongError(f"still reading after {SECONDS} seconds")
