"""All vectors in CPU memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from spectra.krylov.basis.interface import Basis
from spectra.operators.interface import SymmetricOperator
from spectra.system.memory.pieces import add_to

# Ours: vectors are moved, and widened, this many bytes at a time, at most 8 vectors.
_SLAB_BYTES, _SLAB_ROWS = 2**26, 8


class HostBasis(Basis):
    """All vectors in CPU memory, in the operator's dtype; a pass moves each to the operator once.

    Args:
        op: what the vectors belong to.
    """

    scale = 1.0

    def __init__(self, op: SymmetricOperator) -> None:
        super().__init__(op)
        self.stored_dtype, self.stored_on = op.dtype, torch.device("cpu")
        self._slabs: list[Tensor] = []
        wide = op.size * op.dtype.itemsize
        self._slab_rows = min(_SLAB_ROWS, max(1, _SLAB_BYTES // wide))

    @property
    def bytes(self) -> int:
        """Bytes held now, room for vectors to come included."""
        return sum(slab.nbytes for slab in self._slabs)

    def last(self) -> Tensor:
        """Return the newest vector."""
        slab, row = divmod(self._count - 1, self._slab_rows)
        return self._read(self._slabs[slab][row])

    def append(self, q: Tensor) -> None:
        """Add a vector."""
        slab, row = divmod(self._count, self._slab_rows)
        if slab == len(self._slabs):
            shape = (self._slab_rows, self.size)
            self._slabs.append(torch.empty(shape, dtype=self.stored_dtype, device=self.stored_on))
        self._slabs[slab][row] = (q * self.scale).to(self.stored_on, self.stored_dtype)
        self._count += 1

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Take the projection on all vectors from ``w``, and return it."""
        narrow, projection = w.to(self.dtype), torch.zeros_like(w)
        for rows in self._blocks(self._count):
            held = rows.to(self.device, self.dtype)
            add_to(projection, ((held @ narrow) / self.scale**2) @ held)
        return w.sub_(projection)

    def truncate(self, count: int) -> None:
        """Forget all vectors but the first ``count``."""
        self._count = min(self._count, count)
        del self._slabs[-(-self._count // self._slab_rows) :]

    def _blocks(self, rows: int, columns: slice = slice(None)) -> Iterator[Tensor]:
        for k, slab in enumerate(self._slabs):
            here = min(self._slab_rows, rows - k * self._slab_rows)
            if here > 0:
                yield slab[:here, columns]

    def _read(self, stored: Tensor) -> Tensor:
        return stored.to(self.device, self.dtype) / self.scale

    def _columns(self, rows: int, columns: slice) -> Tensor:
        return torch.cat([self._read(block) for block in self._blocks(rows, columns)])

    def _write(self, columns: slice, block: Tensor) -> None:
        stored = (block * self.scale).to(self.stored_on, self.stored_dtype)
        for k, start in enumerate(range(0, len(stored), self._slab_rows)):
            rows = stored[start : start + self._slab_rows]
            self._slabs[k][: len(rows), columns] = rows
