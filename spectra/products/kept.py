"""Primal work kept between products, within a budget of memory."""

import threading
from collections.abc import Callable

from spectra.allocator import give_back_free_memory
from spectra.products.interface import ChunkHessian

# Ours: making a chunk leaves holes between what is kept, too small for the next one's temporaries;
# given back after so many bytes they stay small, and the time that it takes is not seen.
_GIVE_BACK_EVERY = 64 * 2**20


class KeptWork:
    """Chunks with their primal work done, by where they start; safe for several threads.

    Args:
        budget: bytes that they may take in all.

    Attributes:
        nbytes: that they take.
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.nbytes = budget, 0
        self._chunks: dict[int, ChunkHessian] = {}
        self._lock = threading.Lock()

    def get(self, start: int, make: Callable[[], ChunkHessian]) -> ChunkHessian:
        """Return the chunk that begins at ``start``; ``make`` and, in the budget, keep it."""
        kept = self._chunks.get(start)
        if kept is not None:
            return kept
        made = make()
        with self._lock:
            if self.nbytes + made.nbytes <= self.budget:
                before, self.nbytes = self.nbytes, self.nbytes + made.nbytes
                self._chunks[start] = made
                if before // _GIVE_BACK_EVERY < self.nbytes // _GIVE_BACK_EVERY:
                    give_back_free_memory()
        return made
