"""What a Lanczos run asks of the vectors it keeps."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.interface import SymmetricOperator
from spectra.system.memory.pieces import take_from

# Columns of the basis that are widened to float64 at a time: bounds the extra memory.
_BLOCK = 65536


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
        """Take out of ``w`` (P,), float64, what of it is held, and return it: one pass."""

    @abstractmethod
    def truncate(self, count: int) -> None:
        """Forget all vectors but the first ``count``."""

    def stepped(self, op: SymmetricOperator) -> Tensor | None:
        """Have the next step made by whoever makes those of several runs; return its α and β, (2,).

        The next vector is then held. None: nobody does, and the caller makes it.

        Args:
            op: whose matrix it is a step with.
        """
        return None

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


def take_out(w: Tensor, rows: Tensor) -> Tensor:
    """Take the projection on ``rows`` (k, P), made in their dtype, from ``w`` (P,), float64."""
    take_from(w, (rows @ w.to(rows.dtype)) @ rows)
    return w
