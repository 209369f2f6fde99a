"""One step of a run: its items, each on disk before the next begins, within its seconds."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cli.bench.gpu_ledger.results import DONE, STOPPED, Item, StepResults, plain
from spectra.system.files.writing import write_json
from spectra.system.timing import synchronise

Say = Callable[[str], None]


@dataclass(frozen=True)
class CutShort:
    """What a work returns that the limit has cut, and that a repeated run goes on with.

    Attributes:
        found: its numbers so far.
    """

    found: Mapping[str, Any]


Work = Callable[[], Mapping[str, Any] | CutShort]


class Budget:
    """Seconds from now on.

    Args:
        seconds: in all.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begun = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def left(self, share: float = 1.0) -> float:
        """Return the seconds until ``share`` of all are spent."""
        return share * self.seconds - self.spent


@dataclass
class Step:
    """One step: named items, each kept as soon as it is there.

    Attributes:
        name: of the step.
        device: where it computes.
        budget: of the run.
        share: of the budget that is spent when this step has to end.
        path: its file.
        identity: what its items depend on.
        on_change: called after every item.
        say: called with a line an item.
        items: what is done, and what is not and why.
        status: ``running``, ``done``, ``stopped`` (the limit came first), ``skipped``, ``failed``.
        reason: why it was not done, or not all of it.
    """

    name: str
    device: str
    budget: Budget
    share: float
    path: Path
    identity: Any
    on_change: Callable[[], None]
    say: Say
    items: dict[str, Item] = field(default_factory=dict)
    status: str = "running"
    reason: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds that its items took, in whichever run."""
        return float(sum(item.seconds or 0.0 for item in self.items.values()))

    @property
    def left(self) -> float:
        """Seconds until this step has to end."""
        return self.budget.left(self.share)

    def done(self, key: str) -> Item | None:
        """Return a finished item, or None."""
        item = self.items.get(key)
        return item if item is not None and item.status == DONE else None

    def item(self, key: str, work: Work, *, estimate: float = 0.0) -> Item | None:
        """Do ``work`` unless it is done, or would not fit; keep what it returns, or why not.

        Args:
            key: names the item.
            work: returns numbers by name, or raises.
            estimate: seconds that it will take.

        Returns:
            The item; None: it has no result.
        """
        kept = self.done(key)
        if kept is not None:
            return kept
        if self.left <= estimate:
            reason = f"{max(0.0, self.left):.0f} s were left"
            if estimate:
                reason += f", some {estimate:.0f} s were needed"
            return self._put(key, Item("skipped", reason))
        on_gpu = torch.device(self.device).type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        start = time.perf_counter()
        try:
            with _listening() as said:
                found = work()
            synchronise(self.device)
        except Exception as problem:  # one item's failure is a result; the others go on
            if on_gpu:
                torch.cuda.empty_cache()
            text = " ".join(str(problem).split())[-300:]
            reason = f"{type(problem).__name__}: {text}"
            return self._put(key, Item("failed", reason, time.perf_counter() - start))
        seconds = time.perf_counter() - start
        peak = None
        if on_gpu:
            peak = torch.cuda.max_memory_allocated(self.device)
            torch.cuda.empty_cache()
        status, found = (STOPPED, found.found) if isinstance(found, CutShort) else (DONE, found)
        return self._put(key, Item(status, None, seconds, tuple(said), peak, plain(found)))

    def skip(self, key: str, reason: str) -> None:
        """Record that an item does not apply here."""
        if self.done(key) is None:
            self._put(key, Item("not here", reason))

    def close(self) -> None:
        """Say how the step ended."""
        by_status: dict[str, list[str]] = {}
        for key, item in self.items.items():
            by_status.setdefault(item.status, []).append(key)
        said = [
            f"{what} {', '.join(by_status[status])}"
            for status, what in (
                ("failed", "failed:"), ("stopped", "cut by the limit:"), ("skipped", "no time for")
            )
            if status in by_status
        ]  # fmt: skip
        self.reason = "; ".join(said) or None
        if "failed" in by_status:
            self.status = "failed"
        elif said:
            self.status = "skipped" if set(by_status) == {"skipped"} else "stopped"
        else:
            self.status = "done"
        self.save()

    def save(self) -> None:
        """Write the step's file and let the run rewrite its own."""
        write_json(self.path, plain({"identity": self.identity, **self.results().to_dict()}))
        self.on_change()

    def results(self) -> StepResults:
        """Return what it has found so far."""
        return StepResults(self.name, self.status, self.reason, self.seconds, dict(self.items))

    def _put(self, key: str, item: Item) -> Item | None:
        self.items[key] = item
        self.save()
        line = f"{self.name}: {key}: {item.status}"
        if item.seconds is not None:
            line += f", {item.seconds:.1f} s"
        self.say(line + (f" ({item.reason})" if item.reason is not None else ""))
        return item if item.has_result else None


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what our packages warn of within the block, such as a recording that fails."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name.partition(".")[0] in ("spectra", "checkpoints", "cli"):
                said.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logging.getLogger().addHandler(listener)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(listener)
