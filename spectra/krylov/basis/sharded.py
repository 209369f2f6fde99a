"""All vectors in pieces, one piece of each on every rank of a job."""

from torch import Tensor

from spectra.krylov.basis.device import DeviceBasis
from spectra.krylov.basis.interface import Basis
from spectra.krylov.basis.recent import RecentVectors
from spectra.krylov.tridiagonal import FloatArray
from spectra.objective.samples.shares import SharedImages
from spectra.operators.interface import SymmetricOperator
from spectra.system.ranks import World


def sharing_world(op: SymmetricOperator) -> World:
    """Return the ranks that share out the images of ``op``; a world of one where nobody does."""
    return op.world if isinstance(op, SharedImages) else World()


class ShardedBasis(Basis):
    """All vectors in the operator's dtype, each rank holding its share of their entries.

    The last two vectors are held whole by every rank beside that. A projection is each rank's
    products with its pieces, added up over the ranks, and its result is put together again from
    the pieces: a pass costs one sum of m numbers and one of P.

    Memory: 1 / N of a vector a step on each of N ranks, and two vectors.

    Args:
        op: what the vectors belong to, over images that ranks share out.
        capacity: vectors to make room for at once; None: see :class:`DeviceBasis`.
    """

    def __init__(self, op: SymmetricOperator, capacity: int | None = None) -> None:
        super().__init__(op)
        self._world = sharing_world(op)
        self._own = self._world.share(op.size)
        self._pieces = DeviceBasis(_Piece(op, self._own), capacity)
        self._recent = RecentVectors(op)

    @property
    def bytes(self) -> int:
        """Bytes that this rank holds now, room for vectors to come included."""
        return self._pieces.bytes + self._recent.bytes

    def __len__(self) -> int:
        return len(self._pieces)

    def last(self) -> Tensor:
        """Return the newest vector."""
        return self._recent.last()

    def append(self, q: Tensor) -> None:
        """Add a vector."""
        self._pieces.append(q[self._own])
        self._recent.append(q)

    def orthogonalise(self, w: Tensor) -> Tensor:
        """Take the projection on all vectors out of ``w``, and return it."""
        rows = self._pieces._columns(len(self), slice(None))
        along = self._world.add_up(rows @ w[self._own].to(rows.dtype))
        w -= self._whole((along @ rows).double())
        return w

    def truncate(self, count: int) -> None:
        """Forget all vectors but the first ``count``."""
        lost = len(self) - count
        self._pieces.truncate(count)
        self._recent.drop(lost)
        if not len(self._recent) and len(self):
            self._recent.append(self._whole(self._pieces.last().double()))

    def combine(self, coefficients: FloatArray) -> Tensor:
        """Return Q s, shape (P,), float64, not normalised, for s of shape (m,)."""
        return self._whole(self._pieces.combine(coefficients))

    def combine_many(self, coefficients: FloatArray) -> Tensor:
        """Return the columns of ``coefficients`` (m, k) as vectors, shape (k, P), in op's dtype."""
        return self._whole(self._pieces.combine_many(coefficients))

    def replace(self, coefficients: FloatArray) -> None:
        """Replace the vectors by the columns of ``coefficients`` (m, k), k <= m, in place."""
        self._pieces.replace(coefficients)
        self._recent.drop(len(self._recent))
        self._recent.append(self._whole(self._pieces.last().double()))

    def _whole(self, piece: Tensor) -> Tensor:
        """Return vectors (..., P) of which each rank has its piece."""
        if self._world.size == 1:
            return piece
        whole = piece.new_zeros((*piece.shape[:-1], self.size))
        whole[..., self._own] = piece
        return self._world.add_up(whole)

    def _columns(self, rows: int, columns: slice) -> Tensor:
        return self._whole(self._pieces._columns(rows, slice(None)))[:, columns]

    def _write(self, columns: slice, block: Tensor) -> None:
        raise NotImplementedError("the pieces are replaced, each where it lies")


class _Piece(SymmetricOperator):
    """The space of some entries of an operator's vectors; it has no products."""

    def __init__(self, op: SymmetricOperator, own: slice) -> None:
        self.size, self.dtype, self.device = own.stop - own.start, op.dtype, op.device

    def matvec(self, v: Tensor) -> Tensor:
        raise NotImplementedError
