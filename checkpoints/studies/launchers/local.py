"""Jobs as processes on this machine, through submitit, as a cluster would run them."""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from checkpoints.studies.launchers.job_queue import imported_submitit
from checkpoints.studies.launchers.launcher import Launcher
from spectra.errors import InputError, first_line

# Ours: seconds in which a process ends that has nothing left to do; submitit kills after one.
_LAST = 10.0


class LocalQueue:
    """Processes of this machine; each job has GPUs of its own, where it is to have any."""

    name = "local"
    look = 1.0
    # Ours: a process that has ended has written what it writes; a second for those that end just
    # now.
    patience = 2.0

    def __init__(self, launcher: Launcher, logs: Path, *, device: str, at_once: int) -> None:
        submitit = imported_submitit()
        self.at_once: int | None = at_once
        self._logs = logs
        self._gpus = launcher.gpus_for(device)
        self._slot_count = at_once
        self._cards = _cards_of_this_process(self._gpus * at_once)
        self._executor = submitit.LocalExecutor(logs)
        self._job = submitit.LocalJob
        self._minutes = launcher.hours * 60
        self._running: dict[str, Any] = {}
        # Which GPUs a job has, of those that jobs at once can have.
        self._slots: dict[str, int] = {}

    def submit(self, tasks: Sequence[Callable[[], None]]) -> list[str]:
        """Start a process for each of ``tasks``."""
        started = []
        for task in tasks:
            slot = self._free_slot()
            cards = self._cards[slot * self._gpus : (slot + 1) * self._gpus]
            self._executor.update_parameters(
                timeout_min=self._minutes,
                gpus_per_node=self._gpus,
                visible_gpus=cards,
            )
            try:
                with _standard_error_in(self._logs / "submitit.log"):
                    job = self._executor.submit(task)
            except OSError as error:
                raise InputError(f"no process starts here: {first_line(error)}") from error
            self._running[job.job_id] = job
            self._slots[job.job_id] = slot
            started.append(job.job_id)
        return started

    def alive(self, jobs: Collection[str]) -> set[str]:
        """Return which of ``jobs`` are processes that run."""
        found = set()
        for job in jobs:
            own = self._running.get(job)
            if own.state == "RUNNING" if own is not None else self._is_ours(job):
                found.add(job)
        return found

    def log(self, job: str) -> Path:
        """Return the file of what a job says."""
        return Path(self._job(self._logs, job).paths.stderr)

    def state(self, job: str) -> str:
        """Return whether a signal ended a process, which is all that is known."""
        own = self._running.get(job)
        return "INTERRUPTED" if own is not None and own.state == "INTERRUPTED" else ""

    def leave(self, jobs: Collection[str]) -> str:
        """End the processes of this call: on one machine nobody is to wait for them."""
        for job in jobs:
            if job in self._running:
                self._running[job].cancel()
        others = sorted(set(jobs) - set(self._running))
        return f"'kill -INT {' '.join(others)}' ends what an earlier call began" if others else ""

    def close(self) -> None:
        """Wait for the processes of this call, which have done their work or were told to end."""
        until = time.monotonic() + _LAST
        while self.alive(self._running) and time.monotonic() < until:
            time.sleep(0.05)

    def _free_slot(self) -> int:
        """Return which GPUs are free, once a process that has done its work has let go of them."""
        until = time.monotonic() + _LAST
        while time.monotonic() < until:
            taken = {slot for job, slot in self._slots.items() if self.alive([job])}
            free = set(range(self._slot_count)) - taken
            if free:
                return min(free)
            time.sleep(0.05)
        return 0

    def _is_ours(self, job: str) -> bool:
        """Say whether a process of an earlier call runs: its command names a folder beside ours."""
        try:
            command = Path(f"/proc/{job}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return any(word.startswith(os.fsencode(self._logs.parent)) for word in command)


def _cards_of_this_process(needed: int) -> list[int]:
    """Return the numbers of the GPUs that jobs may have, as many as they need at once.

    Raises:
        InputError: CUDA_VISIBLE_DEVICES names fewer, or names them by other than numbers.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not needed or given is None:
        return list(range(needed))
    cards = [card.strip() for card in given.split(",") if card.strip()]
    if len(cards) < needed or not all(card.isdecimal() for card in cards):
        raise InputError(
            f"jobs at once need {needed} GPUs, and CUDA_VISIBLE_DEVICES is {given[:60]!r}; take "
            "fewer --jobs, or name more, by their numbers"
        )
    return [int(card) for card in cards[:needed]]


@contextlib.contextmanager
def _standard_error_in(path: Path) -> Iterator[None]:
    """Let processes that the block starts write their standard error into a file.

    What watches a job for submitit would print a traceback here where Ctrl-C ends it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = os.dup(2)
    try:
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
