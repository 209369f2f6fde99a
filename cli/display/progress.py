"""How far work has come, on standard error: a bar for each run under way, or a line a minute."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.display.lines import note
from cli.display.words import duration
from spectra.system.foreign_text import short_name
from spectra.system.progress import images_worked_on, same_whole, share_of_whole

# Ours: seconds between the lines that a log gets, so that it tells work from a hang.
LOG_EVERY = 60.0
# Ours: a run that has said nothing for so many seconds while others speak is no longer shown.
SILENT = 120.0
# Ours: of the whole; before it is done, what the rest will take is a guess.
GUESSED = 0.02


@dataclass
class _Run:
    """What is known of one run under way.

    Attributes:
        text: what it works on.
        done: of ``total``, in the steps, epochs or bytes of that.
        total: 0 where nobody knows.
        share: of all its work that is done, from 0 to 1.
        share_at_first: what was done when it began to speak, say before an interruption.
        began: when that was, or when the part began that it speaks of.
        spoke: when it spoke last.
    """

    text: str
    done: int
    total: int
    share: float
    share_at_first: float
    began: float
    spoke: float

    @property
    def finished(self) -> bool:
        return self.total > 0 and self.done >= self.total

    def seconds_left(self, now: float) -> float | None:
        """Return what the rest will take if it takes what the work until now took."""
        worked = self.share - self.share_at_first
        if worked < GUESSED:
            return None
        return (now - self.began) * (1 - self.share) / worked


@dataclass
class _Rate:
    """Images a second, over the last while."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    def now(self) -> float:
        """Return images a second over the last ten seconds or so; 0 where none were worked on."""
        at = time.monotonic()
        self.seen.append((at, images_worked_on()))
        while len(self.seen) > 2 and self.seen[1][0] < at - 10:  # ours: smooth, and still of now
            del self.seen[0]
        (began, first), (ended, last) = self.seen[0], self.seen[-1]
        return (last - first) / (ended - began) if ended > began else 0.0


class Reporter:
    """Shows what is under way; on a terminal by a bar for each run."""

    def __init__(self, progress: Progress, text: str, *, in_bytes: bool, several: bool) -> None:
        self._progress, self._text = progress, text
        self._in_bytes, self._several = in_bytes, several
        self._runs: dict[str, _Run] = {}
        self._tasks: dict[str, TaskID] = {}
        self._began = self._said_last = time.monotonic()
        self._rate = _Rate()
        self._rate.now()
        self._waiting: TaskID | None = progress.add_task(text, total=None, said="")

    def update(self, text: str, done: int, total: int) -> None:
        """Show ``text`` and ``done`` of ``total``; a total of 0 shows no bar."""
        now, text = time.monotonic(), short_name(text)
        key = text.partition(" ")[0] if self._several else ""
        share = share_of_whole(text, done, total)
        before = self._runs.get(key)
        if before is not None and share < before.share and same_whole(before.text, text):
            share = before.share  # a part's second kind of work begins
        if before is None or share < before.share:
            run = _Run(text, done, total, share, share, now if self._runs else self._began, now)
        else:
            run = _Run(text, done, total, share, before.share_at_first, before.began, now)
        self._runs[key] = run
        if before is None:
            self._drop_finished(key, now)
        self._show(key, run, now)

    def _show(self, key: str, run: _Run, now: float) -> None:
        if self._waiting is not None:
            self._progress.remove_task(self._waiting)
            self._waiting = None
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(run.text, total=None, said="")
        self._progress.update(
            self._tasks[key],
            description=run.text,
            completed=run.share,
            total=1.0 if run.total else None,
            said=self._said(run, now),
            refresh=False,
        )

    def say(self) -> None:
        """Say in a line for each run how far it is; what has said nothing yet is at its begin."""
        now = time.monotonic()
        runs = list(self._runs.values())
        # Of several runs those that have spoken since: of the others it is not known if they go on.
        spoken = [run for run in runs if run.spoke >= self._said_last] or runs[-1:]
        for run in spoken if self._several else runs:
            # "training, epoch 12 of 200", and "class 8: 40 of 80" where no word says of what.
            colon = ":" if run.total and not run.text.endswith(" epoch") else ""
            note(f"{run.text}{colon} {self._said(run, now)}".rstrip())
        if not runs:
            note(f"{self._text}: {duration(now - self._began)} until now")
        self._said_last = now

    def _said(self, run: _Run, now: float) -> str:
        """Return how far a run is, how fast, and what is left."""
        parts = []
        if run.total:
            counted = (
                f"{run.done / 1e6:.0f} of {run.total / 1e6:.0f} MB"
                if self._in_bytes
                else f"{run.done} of {run.total}"
            )
            parts.append(f"{counted}, {100 * run.share:.0f} %")
        if len(self._runs) == 1 and (rate := self._rate.now()) >= 1:
            parts.append(f"{rate:,.0f} images/s")
        left = run.seconds_left(now)
        if left is not None and not run.finished:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def _drop_finished(self, key: str, now: float) -> None:
        """Take away the bars of runs that are done, or that say nothing any more."""
        for other, run in list(self._runs.items()):
            if other != key and (run.finished or now - run.spoke > SILENT):
                del self._runs[other]
                if other in self._tasks:
                    self._progress.remove_task(self._tasks.pop(other))


@contextmanager
def reporting(text: str, *, in_bytes: bool = False, several: bool = False) -> Iterator[Reporter]:
    """Show progress while the block runs.

    Args:
        text: what begins.
        in_bytes: whether what is done is counted in bytes.
        several: whether several runs are under way at once; the first word of what is said then
            tells whose it is.
    """
    console = Console(stderr=True, markup=False, emoji=False)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[said]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        report = Reporter(progress, short_name(text), in_bytes=in_bytes, several=several)
        if console.is_terminal:
            yield report
        else:
            with _every_minute(report.say):
                yield report


@contextmanager
def _every_minute(say: Callable[[], None]) -> Iterator[None]:
    """Call ``say`` every :data:`LOG_EVERY` seconds, whatever the block is at work on."""
    over = threading.Event()

    def speak() -> None:
        while not over.wait(LOG_EVERY):
            say()

    speaker = threading.Thread(target=speak, name="progress", daemon=True)
    speaker.start()
    try:
        yield
    finally:
        over.set()
        speaker.join()
