"""How far work has come, on standard error."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cli.display.lines import note
from spectra.system.foreign_text import short_name

# Ours: seconds between the lines that a log gets, so that it tells work from a hang.
LOG_EVERY = 60.0


class Reporter:
    """A progress line on standard error; in a log, where there is no terminal, a line a minute."""

    def __init__(self, progress: Progress, task: TaskID, *, log: bool) -> None:
        self._progress, self._task = progress, task
        self._log, self._logged = log, time.monotonic()

    def update(self, text: str, done: int, total: int) -> None:
        """Show ``text`` and ``done`` of ``total``; a total of 0 shows no bar."""
        text = short_name(text)
        self._progress.update(
            self._task, description=text, completed=done, total=total or None, refresh=False
        )
        if self._log and time.monotonic() - self._logged >= LOG_EVERY:
            self._logged = time.monotonic()
            note(f"{text} {done}/{total}" if total else text)


@contextmanager
def reporting(text: str) -> Iterator[Reporter]:
    """Show progress while the block runs."""
    console = Console(stderr=True, markup=False, emoji=False)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(short_name(text), total=None)
        yield Reporter(progress, task, log=not console.is_terminal)
