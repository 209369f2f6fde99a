"""Primal work kept between products, within a budget of memory."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

from spectra.products.interface import ChunkHessian
from spectra.system.allocator import give_back_free_memory

# Ours: making a chunk leaves holes between what is kept, too small for the next one's temporaries;
# given back after so many bytes they stay small, and the time that it takes is not seen.
_GIVE_BACK_EVERY = 64 * 2**20


@dataclass
class _Purse:
    """A budget, and those who share it."""

    budget: int
    users: weakref.WeakSet[KeptWork] = field(default_factory=weakref.WeakSet)
    lock: threading.Lock = field(default_factory=threading.Lock)


class KeptWork:
    """Chunks with their primal work done, by where they start; safe for several threads.

    Args:
        budget: bytes that they may take in all, with those of whoever is :meth:`beside` them.
        trims: whether the holes between them are given back, which CPU memory needs.

    Attributes:
        nbytes: that they take.
    """

    def __init__(self, budget: int, *, trims: bool = True) -> None:
        self.nbytes = 0
        self._trims, self._keeps = trims, True
        self._chunks: dict[int, ChunkHessian] = {}
        self._purse = _Purse(budget)
        self._purse.users.add(self)

    @property
    def budget(self) -> int:
        """Bytes that may be kept in all; what is kept already stays where it is lowered."""
        return self._purse.budget

    @budget.setter
    def budget(self, value: int) -> None:
        self._purse.budget = value

    def beside(self, *, keeps: bool = True) -> KeptWork:
        """Return room for other chunks within the same budget.

        Args:
            keeps: False: for one who keeps nothing, but may need the memory of those who do.
        """
        other = KeptWork(0, trims=self._trims)
        other._keeps = self._keeps and keeps
        other._purse = self._purse
        self._purse.users.add(other)
        return other

    def forget(self) -> None:
        """Let go of all chunks."""
        with self._purse.lock:
            self._chunks, self.nbytes = {}, 0

    @property
    def held(self) -> int:
        """Bytes that all who share the budget keep."""
        with self._purse.lock:
            return sum(user.nbytes for user in self._purse.users)

    def forget_all(self) -> None:
        """Let go of all chunks, those of others within the same budget too."""
        for user in list(self._purse.users):
            user.forget()

    def get(self, start: int, make: Callable[[], ChunkHessian]) -> ChunkHessian:
        """Return the chunk that begins at ``start``; ``make`` and, in the budget, keep it."""
        kept = self._chunks.get(start)
        if kept is not None:
            return kept
        made = make()
        with self._purse.lock:
            before = sum(user.nbytes for user in self._purse.users)
            after = before + made.nbytes
            if self._keeps and after <= self._purse.budget:
                self.nbytes += made.nbytes
                self._chunks[start] = made
                if self._trims and before // _GIVE_BACK_EVERY < after // _GIVE_BACK_EVERY:
                    give_back_free_memory()
        return made
