"""Which epochs of a run were computed how: most runs in one way, some went on in another."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
        ranks: processes that shared every batch.
        batch_norm: what batch norm then saw, see :attr:`Execution.batch_norm`; None for one process
            and for a network without such layers.
    """

    first: int
    execution: Mapping[str, Any] | None
    device: str | None
    ranks: int = 1
    batch_norm: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form; of one process, that of before there could be several."""
        plain = asdict(self)
        if self.ranks == 1:
            del plain["ranks"], plain["batch_norm"]
        return plain

    @property
    def way(self) -> str:
        """How and where, in words."""
        how = Execution(**(self.execution or {})).note
        where = "" if self.device is None else f" on {self.device}"
        said = (how.removeprefix("trained in ") if how else "float32") + where
        return f"{said} {self.shared_out}" if self.ranks > 1 else said

    @property
    def shared_out(self) -> str:
        """How many processes shared every batch, in words."""
        norm = {
            None: "",
            "shard": ", batch norm over each one's images",
            "synchronised": ", batch norm over the whole batch",
        }
        return f"by {self.ranks} processes{norm[self.batch_norm]}"


def go_on(
    past: Sequence[ComputedEpochs],
    done: int,
    execution: Execution,
    device: str,
    *,
    ranks: int = 1,
    batch_norm: str | None = None,
) -> tuple[ComputedEpochs, ...]:
    """Return the entries of a run that goes on after ``done`` epochs; another way is logged.

    Args:
        past: entries of the run so far.
        done: epochs.
        execution: from now on, as are all that follow, see :class:`ComputedEpochs`.
        device: its kind.
        ranks: processes.
        batch_norm: what it sees.
    """
    kept = tuple(entry for entry in past if entry.first <= done)
    here = ComputedEpochs(done + 1, execution.identity, device, ranks, batch_norm)
    same_device = bool(kept) and kept[-1].device in (None, device)
    if same_device and replace(kept[-1], first=here.first, device=device) == here:
        return kept
    if kept:
        logger.warning("epochs up to %d: %s; from now on: %s", done, kept[-1].way, here.way)
    return (*kept, here)


def computed_note(entries: Sequence[ComputedEpochs], last: int) -> str | None:
    """Return what a checkpoint after ``last`` epochs says; None where one process did, one way."""
    entries = [entry for entry in entries if entry.first <= last]
    if len(entries) == 1 and entries[0].ranks > 1:
        how = Execution(**(entries[0].execution or {})).note or "trained"
        return f"{how} {entries[0].shared_out}"
    if len(entries) < 2:
        return None
    ends = [*(entry.first - 1 for entry in entries[1:]), last]
    said = [f"{entry.first}-{end} {entry.way}" for entry, end in zip(entries, ends, strict=True)]
    return f"epochs {'; '.join(said)}"
