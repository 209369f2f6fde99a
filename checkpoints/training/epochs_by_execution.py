"""Which epochs of a run were computed how: most runs in one way, some went on in another."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checkpoints.training.execution import Execution

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComputedEpochs:
    """Epochs from ``first`` on, until the next such entry or the last epoch.

    Attributes:
        first: counted from 1.
        execution: :attr:`Execution.identity` of it.
        device: its kind, such as ``cuda``; None: not recorded, as in states of earlier versions.
    """

    first: int
    execution: Mapping[str, Any] | None
    device: str | None

    @property
    def way(self) -> str:
        """How and where, in words."""
        how = Execution(**(self.execution or {})).note
        where = "" if self.device is None else f" on {self.device}"
        return (how.removeprefix("trained in ") if how else "float32") + where


def go_on(
    past: Sequence[ComputedEpochs], done: int, execution: Execution, device: str
) -> tuple[ComputedEpochs, ...]:
    """Return the entries of a run that goes on after ``done`` epochs; another way is logged."""
    kept = tuple(entry for entry in past if entry.first <= done)
    here = ComputedEpochs(done + 1, execution.identity, device)
    if kept and kept[-1].execution == here.execution and kept[-1].device in (None, device):
        return kept
    if kept:
        logger.warning("epochs up to %d: %s; from now on: %s", done, kept[-1].way, here.way)
    return (*kept, here)


def computed_note(entries: Sequence[ComputedEpochs], last: int) -> str | None:
    """Return what a checkpoint after ``last`` epochs says; None where one way did them all."""
    entries = [entry for entry in entries if entry.first <= last]
    if len(entries) < 2:
        return None
    ends = [*(entry.first - 1 for entry in entries[1:]), last]
    said = [f"{entry.first}-{end} {entry.way}" for entry, end in zip(entries, ends, strict=True)]
    return f"epochs {'; '.join(said)}"
