"""Commands in children of the fork server, and what is asserted of how one ends."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Ours: the longest command here takes three seconds on a quiet core.
LIMIT = 90.0
NO_FAULT = {"kind": "none"}


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code, or minus the signal that ended it; None: it was still running at the limit.
        said: standard error.
    """

    code: int | None
    said: str

    @property
    def lines(self) -> list[str]:
        """What it said, without notes."""
        return [line for line in self.said.splitlines() if line and not line.startswith("note:")]


@dataclass(frozen=True)
class Started:
    """A command that runs."""

    pid: int
    stderr: Path


class ForkServer:
    """Runs commands in children of a process that has imported everything."""

    def __init__(self) -> None:
        # One thread each: what is forked must not have lost threads that a library relies on.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "MPLBACKEND": "agg"},
            cwd=Path(__file__).parents[2],
        )
        self._number = 0
        self._answer()

    def start(
        self,
        arguments: list[str],
        folder: Path,
        fault: dict[str, Any] | None = None,
        *,
        stdout: str | None = None,
    ) -> Started:
        """Start ``spectra ARGUMENTS`` in ``folder`` with a fault, see :mod:`injected`."""
        self._number += 1
        stderr = folder.parent / f"{folder.name}-{self._number}.err"
        request = {
            "arguments": arguments,
            "folder": str(folder),
            "fault": fault or NO_FAULT,
            "stdout": stdout or str(stderr.with_suffix(".out")),
            "stderr": str(stderr),
        }
        return Started(self._ask({"start": request})["pid"], stderr)

    def wait(self, started: Started, limit: float = LIMIT) -> Ended:
        """Wait for a command; one that takes more than ``limit`` seconds is killed."""
        status = self._ask({"wait": started.pid, "limit": limit})["status"]
        said = started.stderr.read_text("utf-8", errors="replace")
        return Ended(None if status is None else os.waitstatus_to_exitcode(status), said)

    def run(self, arguments: list[str], folder: Path, fault: Any = None, **options: Any) -> Ended:
        """Start a command and wait for it."""
        return self.wait(self.start(arguments, folder, fault, **options))

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the fork server has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


def check_ending(ended: Ended, *codes: int) -> None:
    """Assert one of some exit codes, and one line where the command was not killed."""
    assert ended.code in codes, ended
    assert "Traceback" not in ended.said, ended.said
    assert "Exception ignored" not in ended.said, ended.said
    if ended.code not in (0, -signal.SIGKILL, -signal.SIGTERM):
        assert len(ended.lines) == 1, ended.said
        start = "Error: " if ended.code == 2 else ("Interrupted", "Terminated", "Stopped")
        assert ended.lines[0].startswith(start), ended.said
