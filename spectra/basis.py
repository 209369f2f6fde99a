"""Where a Lanczos run keeps its vectors.

``device``: in the operator's dtype, where the operator is. ``host``: in CPU memory, moved a few
vectors at a time. ``half``: in float16, at half or a quarter of the memory. ``none``: not at all.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.operators import SymmetricOperator

FloatArray = npt.NDArray[np.float64]
STORAGES = ("device", "host", "half", "none")
# Columns of the basis that are widened to float64 at a time: bounds the extra memory.
_BLOCK = 65536
# Ours: vectors are moved, and widened, this many bytes at a time, at most 8 vectors.
_SLAB_BYTES, _SLAB_ROWS = 2**26, 8
_FIRST_ROOM = 8
# Vectors that ``none`` holds: the last two and the start, which the second pass sets out from.
_NONE_VECTORS = 3


def bytes_per_vector(op: SymmetricOperator, basis: str) -> int:
    """Return what one more vector of ``op`` takes where the operator is, in bytes."""
    if basis == "none" or (basis == "host" and op.device.type != "cpu"):
        return 0
    return op.size * (2 if basis == "half" else op.dtype.itemsize)


def fixed_bytes(op: SymmetricOperator, basis: str) -> int:
    """Return what a basis takes where the operator is, however many vectors it has, in bytes."""
    return {"half": 2, "none": _NONE_VECTORS}.get(basis, 0) * op.size * op.dtype.itemsize


class Basis(ABC):
    """Orthonormal vectors, one a Lanczos step.

    Attributes:
        complete: all vectors are held: they can be combined, and new ones orthogonalised to all.
    """

    complete = True

    def __init__(self, op: SymmetricOperator) -> None:
        self.size, self.dtype, self.device = op.size, op.dtype, op.device
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Bytes held now, room for vectors to come included."""

    @abstractmethod
    def last(self) -> Tensor:
        """Return the newest vector, shape (P,), in the operator's dtype."""

    @abstractmethod
    def append(self, q: Tensor) -> None:
        """Add ``q``, shape (P,), float64, of length 1."""

    @abstractmethod
    def orthogonalise(self, w: Tensor) -> Tensor:
        """Return ``w`` (P,), float64, less what of it is held: one Gram-Schmidt pass."""

    @abstractmethod
    def truncate(self, count: int) -> None:
        """Forget all vectors but the first ``count``."""

    def combine(self, coefficients: FloatArray) -> Tensor:
        """Return Q s, shape (P,), float64, not normalised, for s of shape (m,)."""
        s = torch.from_numpy(np.ascontiguousarray(coefficients)).to(self.device)
        vector = torch.empty(self.size, dtype=torch.float64, device=self.device)
        for start in range(0, self.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            vector[block] = s @ self._columns(len(s), block).double()
        return vector

    def combine_many(self, coefficients: FloatArray) -> Tensor:
        """Return the columns of ``coefficients`` (m, k) as vectors, shape (k, P), in op's dtype."""
        m, k = coefficients.shape
        s = torch.from_numpy(np.ascontiguousarray(coefficients.T)).to(self.device, self.dtype)
        out = torch.empty((k, self.size), dtype=self.dtype, device=self.device)
        for start in range(0, self.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            out[:, block] = s @ self._columns(m, block)
        return out

    def replace(self, coefficients: FloatArray) -> None:
        """Replace the vectors by the columns of ``coefficients`` (m, k) k <= m, in place."""
        m, k = coefficients.shape
        s = torch.from_numpy(np.ascontiguousarray(coefficients.T)).to(self.device)
        width = max(1, _BLOCK // 2**4)
        for start in range(0, self.size, width):
            block = slice(start, start + width)
            self._write(block, s @ self._columns(m, block).double())
        self.truncate(k)

    @abstractmethod
    def _columns(self, rows: int, columns: slice) -> Tensor:
        """Return a block of the first ``rows`` vectors, in the operator's dtype and place."""

    @abstractmethod
    def _write(self, columns: slice, block: Tensor) -> None:
        """Overwrite the columns of the first vectors by ``block``, float64."""


class DeviceBasis(Basis):
    """All vectors in one matrix of the operator's dtype, where the operator is.

    Args:
        op: what the vectors belong to.
        capacity: vectors to make room for at once; None: room grows by doubling, and is held twice
            while it does.
    """

    def __init__(self, op: SymmetricOperator, capacity: int | None = None) -> None:
        super().__init__(op)
        self._rows = self._room(_FIRST_ROOM if capacity is None else min(capacity, op.size + 1))

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
        """Return ``w`` less its projection on all vectors."""
        return _without(w, self._rows[: self._count])

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
        """Return ``w`` less its projection on all vectors."""
        narrow, projection = w.to(self.dtype), torch.zeros_like(w)
        for rows in self._blocks(self._count):
            held = rows.to(self.device, self.dtype)
            projection += (((held @ narrow) / self.scale**2) @ held).double()
        return w - projection

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


class HalfBasis(HostBasis):
    """All vectors in float16, where the operator is; the last two in the operator's dtype beside.

    An entry is of the size of 1/√P, under what float16 resolves: it is stored times the power of
    two next to √P. Projections are computed in the operator's dtype. H q_k lies along the last two
    vectors but for rounding; these are taken out in full precision first, so that those in float16
    only have to keep the basis from losing its orthogonality, which half precision does well enough
    for T (Simon 1984): measured, 1e-6 to 1e-4 of the largest value. A Ritz vector is in error by
    some 3e-4 of its length, so its residual does not fall below that part of ‖H‖.

    Args:
        op: what the vectors belong to.
    """

    def __init__(self, op: SymmetricOperator) -> None:
        super().__init__(op)
        self.scale = 2.0 ** round(np.log2(op.size) / 2)
        self.stored_dtype, self.stored_on = torch.float16, op.device
        self._recent = RecentVectors(op)

    @property
    def bytes(self) -> int:
        """Bytes held now, room for vectors to come included."""
        return super().bytes + self._recent.bytes

    def last(self) -> Tensor:
        """Return the newest vector, as it was before it was rounded."""
        return self._recent.last()

    def append(self, q: Tensor) -> None:
        """Add a vector."""
        super().append(q)
        self._recent.append(q)

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Return ``w`` less its projection on the last two vectors, and then on all."""
        return super().orthogonalise(self._recent.orthogonalise(w))

    def truncate(self, count: int) -> None:
        """Forget all vectors but the first ``count``."""
        lost = self._count - count
        super().truncate(count)
        self._recent.drop(lost)
        if not len(self._recent) and self._count:
            self._recent.append(super().last().double())

    def replace(self, coefficients: FloatArray) -> None:
        """Replace the vectors; the newest is held to be the last column, unchanged."""
        newest = self.last().double()
        keeps_newest = not coefficients[:-1, -1].any() and coefficients[-1, -1] == 1.0
        super().replace(coefficients)
        self._recent.drop(len(self._recent))
        self._recent.append(newest if keeps_newest else HostBasis.last(self).double())


class RecentVectors:
    """The last two vectors of a run, in the operator's dtype.

    Args:
        op: what the vectors belong to.
    """

    def __init__(self, op: SymmetricOperator) -> None:
        self._rows = torch.empty((0, op.size), dtype=op.dtype, device=op.device)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def bytes(self) -> int:
        """Bytes held."""
        return self._rows.nbytes

    def last(self) -> Tensor:
        """Return the newest vector."""
        return self._rows[-1]

    def append(self, q: Tensor) -> None:
        """Add a vector; the last but one goes."""
        self._rows = torch.cat([self._rows[-1:], q.to(self._rows.dtype)[None]])

    def drop(self, count: int) -> None:
        """Forget the newest ``count`` vectors."""
        self._rows = self._rows[: max(0, len(self._rows) - count)]

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Return ``w`` less its projection on both."""
        return _without(w, self._rows)


class NoBasis(Basis):
    """The last two vectors and the first: the plain three-term recurrence.

    Nothing holds new vectors orthogonal to old ones. As soon as an extreme Ritz value converges,
    copies of it (ghosts) appear. The extremes stay right, if some steps later, and the weights of
    copies add up to the weight of the eigenvalue, so the quadrature stays right too (Greenbaum
    1989); but T's eigenvalues must not be counted. Ritz vectors take a second pass of as many
    products.

    Args:
        op: what the vectors belong to.
    """

    complete = False

    def __init__(self, op: SymmetricOperator) -> None:
        super().__init__(op)
        self._recent = RecentVectors(op)
        self.start: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Bytes held now: at most three vectors."""
        return self._recent.bytes + (0 if self.start is None else self.start.nbytes)

    def last(self) -> Tensor:
        """Return the newest vector."""
        return self._recent.last()

    def append(self, q: Tensor) -> None:
        """Add a vector."""
        self._recent.append(q)
        if self.start is None:
            self.start = self.last().clone()
        self._count += 1

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Return ``w`` less its projection on the last two vectors."""
        return self._recent.orthogonalise(w)

    def truncate(self, count: int) -> None:
        """Count ``count`` vectors; those that are gone do not come back."""
        self._recent.drop(self._count - count)
        self._count = min(self._count, count)

    def _columns(self, rows: int, columns: slice) -> Tensor:
        raise InputError("basis none holds no vectors to combine; use host, half or device")

    def _write(self, columns: slice, block: Tensor) -> None:
        raise InputError("basis none holds no vectors to replace; use host, half or device")


def make_basis(op: SymmetricOperator, storage: str, capacity: int | None = None) -> Basis:
    """Return an empty basis.

    Args:
        op: what the vectors belong to.
        storage: one of ``STORAGES``.
        capacity: how many vectors there will be at most, where that is known; ``device`` makes
            room for them at once.

    Raises:
        InputError: there is no such storage.
    """
    if storage == "device":
        return DeviceBasis(op, capacity)
    kinds: dict[str, type[Basis]] = {"host": HostBasis, "half": HalfBasis, "none": NoBasis}
    if storage not in kinds:
        raise InputError(f"basis must be one of {', '.join(STORAGES)}, got {storage!r}")
    return kinds[storage](op)


def _without(w: Tensor, rows: Tensor) -> Tensor:
    return w - ((rows @ w.to(rows.dtype)) @ rows).double()
