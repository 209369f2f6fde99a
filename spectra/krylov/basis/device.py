"""All vectors in one matrix, where the operator is."""

import numpy as np
import torch
from torch import Tensor

from spectra.krylov.basis.interface import Basis, take_out
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.interface import SymmetricOperator
from spectra.system.allocator import untouched_room

_FIRST_ROOM = 8
# Ours: bytes of a vector from which on copies count for more than a reservation.
_LARGE = 2**24


def first_room(op: SymmetricOperator) -> int:
    """Return how many vectors of ``op`` there is room for before it grows."""
    each = op.size * op.dtype.itemsize
    if each < _LARGE or op.device.type != "cpu":
        return _FIRST_ROOM
    return max(_FIRST_ROOM, untouched_room() // each)


class DeviceBasis(Basis):
    """All vectors in one matrix of the operator's dtype, where the operator is.

    Args:
        op: what the vectors belong to.
        capacity: vectors to make room for at once; None: room grows by doubling, and is held twice
            while it does; of large vectors, where memory counts when it is written to, there is
            room for many at once.
    """

    def __init__(self, op: SymmetricOperator, capacity: int | None = None) -> None:
        super().__init__(op)
        first = first_room(op) if capacity is None else capacity
        self._rows = self._room(min(first, op.size + 1))

    @property
    def bytes(self) -> int:
        """Bytes held now, room for vectors to come included."""
        return self._rows.nbytes

    def last(self) -> Tensor:
        """Return the newest vector."""
        return self._rows[self._count - 1]

    def append(self, q: Tensor) -> None:
        """Add a vector."""
        k = self._count
        if k == len(self._rows):
            grown = self._room(k + (min(k, max(0, self.size - k)) or 1))
            grown[:k] = self._rows  # not the rest: memory never written to costs none
            self._rows = grown
        self._rows[k] = q.to(self.dtype)
        self._count += 1

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Take the projection on all vectors from ``w``, and return it."""
        return take_out(w, self._rows[: self._count])

    def truncate(self, count: int) -> None:
        """Forget all vectors but the first ``count``."""
        self._count = min(self._count, count)

    def combine_many(self, coefficients: FloatArray) -> Tensor:
        """Return the columns of ``coefficients`` as vectors: one product of matrices."""
        s = torch.from_numpy(np.ascontiguousarray(coefficients.T)).to(self._rows)
        return s @ self._rows[: len(coefficients)]

    def _room(self, rows: int) -> Tensor:
        return torch.empty((rows, self.size), dtype=self.dtype, device=self.device)

    def _columns(self, rows: int, columns: slice) -> Tensor:
        return self._rows[:rows, columns]

    def _write(self, columns: slice, block: Tensor) -> None:
        self._rows[: len(block), columns] = block.to(self.dtype)
