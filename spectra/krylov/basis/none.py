"""No basis: the recurrence alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.krylov.basis.interface import Basis
from spectra.krylov.basis.recent import RecentVectors
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.interface import SymmetricOperator
from spectra.system.memory.pieces import pieces


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
        """Take the projection on the last two vectors from ``w``, and return it."""
        return self._recent.orthogonalise(w)

    def truncate(self, count: int) -> None:
        """Count ``count`` vectors; those that are gone do not come back."""
        self._recent.drop(self._count - count)
        self._count = min(self._count, count)

    def second_pass(
        self, op: SymmetricOperator, betas: Sequence[float], coefficients: FloatArray
    ) -> Tensor:
        """Return Q s, shape (k, P), float64, for each column s of ``coefficients`` (m, k).

        Cost: m - 1 products: the recurrence once more, from the first vector.

        Args:
            op: the operator of the run.
            betas: of the run, m - 1 at least.
            coefficients: shape (m, k).
        """
        assert self.start is not None
        m, k = coefficients.shape
        twin = NoBasis(op)
        twin.append(self.start)
        total = torch.zeros((k, op.size), dtype=torch.float64, device=op.device)
        for step in range(m):
            q = twin.last()
            for row, s in zip(total, coefficients[step], strict=True):
                for piece in pieces(op.size):
                    row[piece].add_(q[piece].double(), alpha=float(s))
            if step + 1 < m:
                w = op.matvec(q).to(torch.float64, copy=True)
                w = twin.orthogonalise(twin.orthogonalise(w)).div_(betas[step])
                w = twin.orthogonalise(w)
                twin.append(w.div_(w.norm()))
        return total

    def _columns(self, rows: int, columns: slice) -> Tensor:
        raise InputError("basis none holds no vectors to combine; use host, half or device")

    def _write(self, columns: slice, block: Tensor) -> None:
        raise InputError("basis none holds no vectors to replace; use host, half or device")
