"""What is said of a failure, whatever it was: one line, and an exit code.

Exit code 2 is what a user can mend: a file, an option, the disk, the memory. 1 is a mistake of
ours. 130 is Ctrl-C, 143 SIGTERM, 129 a terminal that was closed.
"""

import errno
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn

from spectra.errors import SpectraError, first_line
from spectra.system.foreign_text import printable, short_name, short_words

MENDABLE, OURS = 2, 1
# Shells say 128 + the signal's number.
_BY_SIGNAL: Final = 128
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("spectra", "checkpoints", "figures", "cli")
# Ours: names and values in a line come from files, and may be as long as those.
LONGEST_LINE = 2000
# What the system's loader says of a library in C where memory is short.
_NO_ROOM_TO_LOAD = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")
_PRINTING = (os.path.join("click", "utils.py"), os.path.join("rich", "console.py"))

_ADVICE = {
    errno.ENOSPC: "make room there, or choose another -o",
    errno.EDQUOT: "make room there, or choose another -o",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose another -o",
    errno.EACCES: "check who may read and write it",
    errno.EPERM: "check who may read and write it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs, or raise the system's limit on open files",
    errno.EIO: "the disk or the connection to it fails",
    errno.ESTALE: "the connection to the disk was lost; open it again",
}


class Failure(NamedTuple):
    """What is printed of a failure, ``Error: `` before it where it is one, and the exit code."""

    line: str
    code: int


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end; what it was at work on ends as by Ctrl-C.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Stops:
    """What signals do: the first ends the work as Ctrl-C does, a second ends the process at once.

    So whatever a first one waits for, a second does not; what is written is written whole anyway.
    """

    def __init__(self) -> None:
        self.stopped = False

    def __call__(self, number: int, _: FrameType | None) -> NoReturn:
        if self.stopped:
            said = "Interrupted" if number == signal.SIGINT else "Terminated"
            os.write(2, f"{said}.\n".encode())
            os._exit(_BY_SIGNAL + number)
        self.stopped = True
        raise Stopped(number)


def heed_signals() -> None:
    """Let SIGTERM, and a terminal that is closed, end the process as Ctrl-C does.

    What the caller had told the system to ignore, as ``nohup`` does, stays ignored.
    """
    stops = _Stops()
    for number in _signals():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stops)


def heed_none() -> None:
    """Let signals that :func:`heed_signals` heeds change nothing: the last line is being said.

    Else one that comes while Python ends is a traceback.
    """
    for number in _signals():
        if isinstance(signal.getsignal(number), _Stops):
            signal.signal(number, signal.SIG_IGN)


def _signals() -> list[signal.Signals]:
    """Return the signals that ask a process to end; Windows has no SIGHUP."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def failure(error: BaseException, command: str | None = None, kept: str = "") -> Failure:
    """Return what is said of an error.

    Args:
        error: of any kind.
        command: that was running; None: none was.
        kept: what it leaves, and how it goes on; empty: nothing is said of that.
    """
    stop = interruption(error)
    if stop is not None:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        said = "Interrupted" if number == signal.SIGINT else "Terminated"
        return Failure(f"{said}; {kept}" if kept else f"{said}.", _BY_SIGNAL + number)
    if isinstance(error, SpectraError):
        return Failure(f"Error: {_in_a_line(str(error))}", MENDABLE)
    if (found := _of_surroundings(error)) is not None:
        return Failure(_with_kept(f"Error: {_in_a_line(found)}", kept), MENDABLE)
    what = f"{type(error).__name__}: {first_line(error)}".removesuffix(": ")
    said = (
        f"a mistake in spectra, {what}{_place(error)}; 'spectra --debug {command or 'COMMAND'} "
        "...' says more: please report what it prints"
    )
    return Failure(_with_kept(f"Error: {_in_a_line(said)}", kept), OURS)


def interruption(error: BaseException) -> KeyboardInterrupt | None:
    """Return the Ctrl-C or signal that an error comes from; None where it comes from none.

    Libraries in C that are interrupted while they are imported raise an ImportError of theirs.
    """
    seen: set[int] = set()
    at: BaseException | None = None if isinstance(error, SpectraError) else error
    while at is not None and id(at) not in seen:
        if isinstance(at, KeyboardInterrupt):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None


def print_traceback(error: BaseException) -> None:
    """Print the whole traceback on standard error, with all that the error comes from."""
    lines = "".join(traceback.format_exception(error)).split("\n")
    sys.stderr.write("\n".join(map(printable, lines)))


def _of_surroundings(error: BaseException) -> str | None:
    """Return what is said of what disk, memory or input brought about; None: it is our mistake."""
    if isinstance(error, OSError):
        return _of_system(error)
    if _memory_was_short(error):
        detail = first_line(error).rstrip(".")
        return (
            f"out of memory{f' ({detail})' if detail else ''}; free some of it, give an analysis a "
            "lower --memory or a training a lower --set batch_size=N, or take another --device"
        )
    if isinstance(error, RecursionError):
        return "nested deeper than Python can follow: the file, or the network's modules"
    if isinstance(error, OverflowError):
        return f"a number is too large ({first_line(error)})"
    if isinstance(error, UnicodeError):
        return f"a name or text that is no UTF-8 ({first_line(error)}); rename or rewrite it"
    if type(error).__module__.partition(".")[0] == "torch" or type(error) is RuntimeError:
        return (
            f"torch could not go on: {first_line(error)}{_place(error)}; check that network, "
            "weights and data fit each other; spectra --debug shows where it was"
        )
    return None


def _of_system(error: OSError) -> str:
    given = (error.filename, error.filename2)
    names = [os.fsdecode(name) for name in given if isinstance(name, str | bytes)]
    where = f"{' and '.join(names)}: " if names else ""
    if not names and _while_printing(error):
        where = "standard output: "
    said = first_line(error) or type(error).__name__
    if error.strerror:
        said = error.strerror[:1].lower() + error.strerror[1:]
    advice = _ADVICE.get(error.errno or 0)
    return f"{where}{said}{f'; {advice}' if advice else ''}"


def _memory_was_short(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, ImportError):  # a library that is read when it is first needed
        return any(words in str(error) for words in _NO_ROOM_TO_LOAD)
    if not isinstance(error, RuntimeError) or "torch" not in sys.modules:
        return False
    from spectra.system.allocator import out_of_memory

    return out_of_memory(error)


def _while_printing(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.endswith(_PRINTING) for frame in frames)


def _place(error: BaseException) -> str:
    """Return the last line of ours that was at work: `` (checkpoints/load.py, line 12)``."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _PACKAGES:
            return f" ({path.relative_to(_ROOT).as_posix()}, line {frame.lineno})"
    return ""


def _in_a_line(text: str) -> str:
    return short_name(short_words(" ".join(text.split())), LONGEST_LINE)


def _with_kept(said: str, kept: str) -> str:
    return f"{said}; {kept}" if kept else said


def end_quietly(stream: Any) -> None:
    """Flush a standard stream, or give up on it: nobody reads it, or its disk is full.

    Python would flush it once more when it ends, and say so where that fails.
    """
    try:
        stream.flush()
    except (OSError, ValueError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError):
            return
