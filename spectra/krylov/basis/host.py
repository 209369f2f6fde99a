"""All vectors in CPU memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from spectra.krylov.basis.interface import Basis
from spectra.operators.interface import SymmetricOperator
from spectra.system.memory.pieces import PIECE, add_to, pieces

# Ours: vectors are moved, and widened, this many bytes at a time, at most 8 vectors.
_SLAB_BYTES, _SLAB_ROWS = 2**26, 8
# Ours: entries of a large vector that are widened at a time: what is made of them fits a cache.
_ENTRIES = 2**19


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
        held = self._slabs[slab][row]
        for piece in pieces(self.size):
            held[piece] = (q[piece] * self.scale).to(self.stored_on, self.stored_dtype)
        self._count += 1

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Take the projection on all vectors from ``w``, and return it."""
        if self.size > PIECE and self.stored_on == self.device:
            return self._orthogonalise_in_place(w)
        narrow, projection = w.to(self.dtype), torch.zeros_like(w)
        for rows in self._blocks(self._count):
            held = rows.to(self.device, self.dtype)
            add_to(projection, ((held @ narrow) / self.scale**2) @ held)
        return w.sub_(projection)

    def _orthogonalise_in_place(self, w: Tensor) -> Tensor:
        """Do the same for large vectors: no copy of one is made, and each is read twice."""
        parts = [slice(at, at + _ENTRIES) for at in range(0, self.size, _ENTRIES)]
        along = torch.zeros(self._count, dtype=torch.float64, device=self.device)
        for part in parts:
            narrow = w[part].to(self.dtype)
            held = self._blocks(self._count, part)
            along += torch.cat([rows.to(self.dtype) @ narrow for rows in held]).double()
        factors = (along / self.scale**2).to(self.dtype).split(self._slab_rows)
        for part in parts:
            held = self._blocks(self._count, part)
            for some, rows in zip(factors, held, strict=True):
                w[part].sub_((some @ rows.to(self.dtype)).double())
        return w

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
