"""Runs tests on a mutant, in a fork of a process that has imported everything already."""

import contextlib
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutants import Mutant
from placing import import_anew, swap_functions

OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov")
# Ours: the largest test takes 2 GiB of addresses; a mutant that asks for more has lost its way.
_ADDRESSES = 12 << 30
# Ours: a mutant hangs when it has computed four times as long as its tests should, and eight
# seconds, or not at all for two minutes, by the clock of a machine that may be busy.
_SLOWER, _AND_S, _ASLEEP_S = 4.0, 8.0, 120.0


@dataclass(frozen=True)
class Outcome:
    """What became of the tests.

    Attributes:
        killed_by: node id of the first test that failed, "time limit", "crash", or "" where all
            passed.
        seconds: that it took.
    """

    killed_by: str
    seconds: float


def collect(root: Path, tests: Sequence[str]) -> None:
    """Import what the tests need, and the tests, so that no fork has to."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    importlib.import_module("torch").set_num_threads(1)
    sys.path.insert(0, str(root))
    os.chdir(root)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        found = pytest.main([*OPTIONS, "--collect-only", *tests])
    if found != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests cannot be collected: {found!r}")


def run(
    root: Path,
    mutant: Mutant | None,
    tests: Sequence[str],
    *,
    expected_s: float,
    anew: bool = False,
) -> Outcome:
    """Run tests on a mutant until one fails; None runs them on the project as it is.

    Args:
        root: of the project.
        mutant: what to run them on.
        tests: node ids, in order.
        expected_s: how long they should take.
        anew: import the project again; else a function is exchanged in place where that can be.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "failed")
        child = os.fork()
        if child == 0:
            status = 70  # what it stays at where pytest itself is lost
            try:
                _limit(expected_s)
                _put_in_place(root, mutant, anew)
                status = _tests(tests, Path(folder, "tests"), report)
            finally:
                os._exit(status)
        status = _wait(child)
        killed_by = _cause(status, report)
    return Outcome(killed_by, time.monotonic() - began)


def _limit(expected_s: float) -> None:
    os.setsid()
    seconds = int(_SLOWER * expected_s + _AND_S)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _put_in_place(root: Path, mutant: Mutant | None, anew: bool) -> None:
    with open(os.devnull, "r+") as nothing:
        for stream in (0, 1, 2):
            os.dup2(nothing.fileno(), stream)
    if mutant is not None and (anew or not swap_functions(root, mutant)):
        import_anew(root, mutant)


def _tests(tests: Sequence[str], temporary: Path, report: Path) -> int:
    options = [*OPTIONS, "-x", f"--basetemp={temporary}"]
    return int(pytest.main([*options, *tests], plugins=[_FirstFailure(report)]))


def _wait(child: int) -> int | None:
    """Return how a process ended, None where it was ended for doing nothing."""
    before, since = 0, time.monotonic()
    while time.monotonic() < since + _ASLEEP_S:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        # Its ticks in user and system mode: fields 14 and 15, see proc(5).
        fields = Path(f"/proc/{child}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        if ticks > before:
            before, since = ticks, time.monotonic()
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _cause(status: int | None, report: Path) -> str:
    if report.exists():
        return report.read_text("utf-8")
    if status is None or status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "time limit"
    return "" if status == pytest.ExitCode.OK else f"crash ({status})"


class _FirstFailure:
    """Writes down which test, or which file that cannot be collected, failed first."""

    def __init__(self, report: Path) -> None:
        self._report = report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self._report.exists():
            self._report.write_text(report.nodeid or "collection", "utf-8")
