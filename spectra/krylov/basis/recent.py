"""The last two vectors of a run: all that the three-term recurrence needs."""

import torch
from torch import Tensor

from spectra.krylov.basis.interface import take_out
from spectra.operators.interface import SymmetricOperator


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
        if len(self._rows) < 2:
            self._rows = torch.cat([self._rows, q.to(self._rows.dtype)[None]])
        else:
            self._rows[0] = self._rows[1]
            self._rows[1] = q

    def drop(self, count: int) -> None:
        """Forget the newest ``count`` vectors."""
        self._rows = self._rows[: max(0, len(self._rows) - count)]

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Take the projection on both from ``w``, and return it."""
        return take_out(w, self._rows)
