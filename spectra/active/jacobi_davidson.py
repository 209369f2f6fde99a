"""Refining extreme eigenpairs in a growing subspace: block Jacobi-Davidson."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spectra.krylov.lanczos import Lanczos
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.interface import SymmetricOperator

# Ours: a correction is not trusted to divide by less than this part of |θ|.
_GAP = 0.1
# Ours: of a vector of length 1; what is smaller would bring the rounding of its product with it.
_NEW = 1e-2
# Ours: of a part, an eigenvalue so close to its lowest one may lie below it over all images.
_SECOND = 0.7
# Ours: a direction counts as inside a span when so little of it is outside.
_INSIDE = 1e-10


class PartModel:
    """What is known of an operator H from a run on one that is like it: H ≈ scale · Q M Qᵀ.

    It grows: directions that corrections ask for are multiplied by the operator of the run, which
    is cheap where that is a small part of H.

    Args:
        op: of the run.
        vectors: Q, orthonormal rows, shape (m, P).
        matrix: M = Qᵀ op Q, shape (m, m).
        scale: of H against ``op``.

    Attributes:
        largest: vectors held at most: twice those of the run.
    """

    def __init__(
        self, op: SymmetricOperator, vectors: Tensor, matrix: FloatArray, *, scale: float = 1.0
    ) -> None:
        self.op, self.vectors, self.matrix, self.scale = op, vectors, matrix, scale
        self.largest = 2 * len(vectors)

    @classmethod
    def of(cls, run: Lanczos, *, scale: float = 1.0) -> PartModel:
        """Return what a run has found."""
        t = run.tridiagonal()
        return cls(run.op, run.ritz_vectors(np.eye(len(t))), t.matrix(), scale=scale)

    def ends(self) -> list[Tensor]:
        """Return the vectors of the lowest and the highest Ritz pair, float64."""
        coefficients = np.ascontiguousarray(np.linalg.eigh(self.matrix)[1][:, [0, -1]].T)
        rows = torch.from_numpy(coefficients).to(self.vectors)
        return list((rows @ self.vectors).double())

    def second_lowest(self) -> list[Tensor]:
        """Return the vector of the second-lowest Ritz pair, if its value is near the lowest one."""
        values, coefficients = np.linalg.eigh(self.matrix)
        if not (len(values) > 2 and values[1] <= _SECOND * values[0] < 0):
            return []
        row = torch.from_numpy(np.ascontiguousarray(coefficients[:, 1])).to(self.vectors)
        return [(row @ self.vectors).double()]

    def grow(self, direction: Tensor, steps: int) -> None:
        """Add ``direction`` and, by as many products, what follows from it by Lanczos steps."""
        following = direction
        for _ in range(steps):
            if len(self.vectors) >= min(self.largest, self.op.size):
                return
            q = following.to(self.vectors)
            q, size, left = outside(q, self.vectors)
            if not left > max(_INSIDE, torch.finfo(q.dtype).eps) * size:
                return
            q = q / q.norm()
            following = self.op.matvec(q.to(self.op.dtype)).to(q)
            self.vectors = torch.cat([self.vectors, q[None]])
            column = (self.vectors @ following).double().cpu().numpy()
            m = len(column)
            grown = np.zeros((m, m))
            grown[:-1, :-1] = self.matrix
            grown[-1], grown[:, -1] = column, column
            self.matrix = grown

    def correction(self, residual: Tensor, value: float, vector: Tensor) -> Tensor:
        """Return t orthogonal to y with (H - θ) t = -r + ε y: what to add to y, H y = θ y + r.

        Outside of the span of Q, H is taken to be 0. So the large eigenvalues, which a residual
        is full of and which a plain Davidson step would have to sort out by products, cost none.

        Args:
            residual: r, shape (P,), float64.
            value: θ.
            vector: y, shape (P,), float64, of length 1.

        Source: Sleijpen & van der Vorst 1996 (Jacobi-Davidson; the correction after Olsen).
        """
        values, coefficients = np.linalg.eigh(self.scale * self.matrix)
        zero = max(_INSIDE * np.abs(values).max(), np.finfo(float).tiny)
        floor = _GAP * max(abs(value), zero)
        gaps = values - value
        gaps = np.where(np.abs(gaps) < floor, np.copysign(floor, gaps), gaps)
        rest = -value if abs(value) >= floor else floor
        right = torch.stack([residual, vector])
        inside = (right.to(self.vectors) @ self.vectors.T).double().cpu().numpy()
        weighted = ((inside @ coefficients) * (1 / gaps - 1 / rest)) @ coefficients.T
        moved = torch.from_numpy(weighted).to(self.vectors) @ self.vectors
        solved, along = right / rest + moved.double()
        denominator = vector @ along
        return ((vector @ solved) / denominator * along if denominator else 0 * along) - solved


class Subspace:
    """Vectors and their products by one operator; the Rayleigh-Ritz pairs of their span.

    Args:
        op: symmetric operator on R^P.
    """

    def __init__(self, op: SymmetricOperator) -> None:
        self.op = op
        self.vectors = torch.empty((0, op.size), dtype=torch.float64, device=op.device)
        self.products = self.vectors.clone()
        self._eigen: tuple[FloatArray, FloatArray] | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def extend(self, vectors: list[Tensor]) -> int:
        """Add vectors, orthonormalised against those there, and their products (one pass).

        Returns:
            How many were added: a vector inside the span is left out.
        """
        new: list[Tensor] = []
        for v in vectors:
            basis = torch.cat([self.vectors, *[u[None] for u in new]])
            v, size, left = outside(v, basis)
            if left > _INSIDE * size > 0:
                # As the operator will see it: value and residual are then those of one vector.
                new.append((v / v.norm()).to(self.op.dtype).double())
        if new:
            block = torch.stack(new)
            self.add(block, self.op.matmat(block.to(self.op.dtype)).double())
        return len(new)

    def add(self, vectors: Tensor, products: Tensor) -> None:
        """Add vectors (k, P) whose products are known; they are orthonormal to those there."""
        self.vectors = torch.cat([self.vectors, vectors])
        self.products = torch.cat([self.products, products])
        self._eigen = None

    def absorb(self, other: Subspace) -> None:
        """Add the vectors of another subspace of the same operator, with the products it has."""
        for v, product in zip(other.vectors, other.products, strict=True):
            for _ in range(2):
                inside = self.vectors @ v
                v, product = v - inside @ self.vectors, product - inside @ self.products
            size = float(v.norm())
            if size > _NEW:
                self.add((v / size)[None], (product / size)[None])

    def pair(self, index: int) -> tuple[float, Tensor, Tensor]:
        """Return value, vector of length 1 and residual of the Ritz pair ``index``: 0, -1."""
        if self._eigen is None:
            matrix = (self.vectors @ self.products.T).cpu().numpy()
            self._eigen = np.linalg.eigh((matrix + matrix.T) / 2)
        values, coefficients = self._eigen
        s = torch.from_numpy(np.ascontiguousarray(coefficients[:, index])).to(self.op.device)
        vector = s @ self.vectors
        length = vector.norm()
        value = float(values[index])
        return value, vector / length, (s @ self.products - value * vector) / length

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return vectors and products, (2, P) each, of the smallest and the largest pair."""
        vectors, products = [], []
        for index in (0, -1):
            value, vector, residual = self.pair(index)
            vectors.append(vector)
            products.append(value * vector + residual)
        return torch.stack(vectors), torch.stack(products)


def outside(v: Tensor, basis: Tensor) -> tuple[Tensor, float, float]:
    """Return the part of ``v`` orthogonal to the rows of ``basis``, twice, for rounding, and the
    lengths of ``v`` and of that part: one wait for a card.
    """
    before = v.norm()
    for _ in range(2):
        v = v - (basis @ v) @ basis
    size, left = torch.stack([before, v.norm()]).tolist()
    return v, size, left
