"""Where the ranks of a job leave word for each other, without waiting for one another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

# Ours: seconds between two looks at who has come.
_LOOK = 0.1

# What stands in place of a heartbeat once a rank is at its end: it has done all, it has failed by
# itself, or it was told to stop.
LEFT, FAILED, TOLD = "left", "failed", "told"


class Meeting:
    """Keys and values that every rank sees: a ``TCPStore`` of torch, used by one job.

    None of its methods waits for a key, so that a thread and the program may use it together.

    Args:
        store: of ``torch.distributed``.
        rank: of this process.
        size: how many there are.
    """

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self._store, self.rank, self.size = store, rank, size
        self._waits = 0

    def first_to(self, what: str) -> bool:
        """Say whether this rank is the first one to ask that of ``what``, in the whole job."""
        return int(self._store.add(f"first/{what}", 1)) == 1

    def all_here(self, seconds: float) -> list[int]:
        """Wait until every rank has introduced itself; return those that have not by then."""
        until = time.monotonic() + seconds
        while (absent := self.absent()) and time.monotonic() < until:
            time.sleep(_LOOK)
        return absent

    def come_together(self) -> None:
        """Return once every rank is here, however long that takes: the dead are seen elsewhere."""
        self._waits += 1
        key = f"wait/{self._waits}"
        here = int(self._store.add(key, 1))
        while here < self.size:
            time.sleep(_LOOK)
            here = int(self._store.add(key, 0))

    def absent(self) -> list[int]:
        """Return the ranks that have not introduced themselves yet."""
        keys = [f"who/{rank}" for rank in range(self.size)]
        if self._store.check(keys):
            return []
        return [rank for rank, key in enumerate(keys) if not self._store.check([key])]

    def say(self, state: str) -> None:
        """Leave word of how this rank is: a heartbeat, or how it ends."""
        self._store.set(f"state/{self.rank}", state)

    def introduce(self, who: str) -> None:
        """Leave word of who this rank is: its process, and on which machine."""
        self._store.set(f"who/{self.rank}", who)

    def states(self) -> list[str]:
        """Return what every rank has said last, by rank; of all that have begun."""
        return self._all("state")

    def who(self, rank: int) -> str:
        """Return how a rank has introduced itself."""
        return self._all("who")[rank]

    def _all(self, what: str) -> list[str]:
        keys = [f"{what}/{rank}" for rank in range(self.size)]
        values: Sequence[bytes] = self._store.multi_get(keys)
        return [value.decode(errors="replace") for value in values]
