"""Refining extreme eigenpairs in a growing subspace: block Davidson."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectra.lanczos import Lanczos
from spectra.operators import SymmetricOperator
from spectra.tridiagonal import FloatArray

# Ours: a correction is not trusted to divide by less than this part of |θ|.
_GAP = 0.1


@dataclass(frozen=True)
class RitzSpace:
    """Approximate eigenpairs of an operator, from a run on one that is like it.

    Attributes:
        values: shape (m,), rising, eigenvalue units.
        vectors: shape (m, P), orthonormal rows.
    """

    values: FloatArray
    vectors: Tensor

    @classmethod
    def of(cls, run: Lanczos, *, scale: float = 1.0) -> RitzSpace:
        """Return the Ritz pairs of a run, its values multiplied by ``scale``."""
        t = run.tridiagonal()
        return cls(t.ritz_values() * scale, run.ritz_vectors(t.ritz_coefficients()))

    def correction(self, residual: Tensor, value: float) -> Tensor:
        """Return about -(H - θ)⁻¹ r: what to add to y where H y = θ y + r.

        H is taken to be Σ values · vectors vectorsᵀ. So the large eigenvalues, which a residual is
        full of and which a plain Davidson step would have to sort out by products, cost none.

        Args:
            residual: r, shape (P,), float64.
            value: θ.

        Source: Morgan & Scott 1986 (generalised Davidson).
        """
        floor = _GAP * max(abs(value), np.finfo(float).tiny)
        gaps = self.values - value
        gaps = np.where(np.abs(gaps) < floor, np.copysign(floor, gaps), gaps)
        rest = -value if abs(value) >= floor else floor
        inside = self.vectors @ residual.to(self.vectors.dtype)
        weights = torch.from_numpy(1 / gaps - 1 / rest).to(inside)
        return -(residual / rest + ((weights * inside) @ self.vectors).to(residual.dtype))


class Subspace:
    """Vectors and their products by one operator; the Rayleigh-Ritz pairs of their span.

    Args:
        op: symmetric operator on R^P.
    """

    def __init__(self, op: SymmetricOperator) -> None:
        self.op = op
        self.vectors = torch.empty((0, op.size), dtype=torch.float64, device=op.device)
        self.products = self.vectors.clone()

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
            size = float(v.norm())
            for _ in range(2):
                v = v - (basis @ v) @ basis
            if float(v.norm()) > 1e-10 * size > 0:
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

    def pair(self, index: int) -> tuple[float, Tensor, Tensor]:
        """Return value, vector of length 1 and residual of the Ritz pair ``index``: 0, -1."""
        matrix = (self.vectors @ self.products.T).cpu().numpy()
        values, coefficients = np.linalg.eigh((matrix + matrix.T) / 2)
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
