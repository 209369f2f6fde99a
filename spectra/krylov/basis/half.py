"""All vectors in float16, the last two in full."""

import numpy as np
import torch
from torch import Tensor

from spectra.krylov.basis.host import HostBasis
from spectra.krylov.basis.recent import RecentVectors
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.interface import SymmetricOperator


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
        """Take out of ``w`` the projection on the last two vectors, then that on all; return it."""
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
