"""The projected matrix of a run that is cut back: no longer tridiagonal."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spectra.tridiagonal import FloatArray


@dataclass(frozen=True)
class Projection:
    """H Q = Q T + q cᵀ: a run's projected matrix and what couples it to the next vector.

    Attributes:
        matrix: T, shape (m, m).
        coupling: c, shape (m,); zero where the space is closed.
    """

    matrix: FloatArray
    coupling: FloatArray

    def __len__(self) -> int:
        return len(self.coupling)

    @cached_property
    def eigen(self) -> tuple[FloatArray, FloatArray]:
        """Ritz values, rising, and coefficients as columns."""
        if not len(self):
            return np.zeros(0), np.zeros((0, 0))
        values, vectors = np.linalg.eigh(self.matrix)
        return values, vectors

    def residual_bounds(self) -> FloatArray:
        """Return |cᵀs| for each Ritz pair, shape (m,): ‖H y - θ y‖ in exact arithmetic."""
        return np.abs(self.coupling @ self.eigen[1])

    def scale(self) -> float:
        """Return the size of the largest coefficients."""
        off = np.abs(self.matrix - np.diag(self.matrix.diagonal()))
        return float(np.abs(self.matrix.diagonal()).max() + off.max(initial=0.0))

    def extended(self, alpha: float, beta: float) -> "Projection":
        """Return the projection after one more step."""
        m = len(self)
        matrix = np.zeros((m + 1, m + 1))
        matrix[:m, :m], matrix[m, m] = self.matrix, alpha
        matrix[m, :m] = matrix[:m, m] = self.coupling
        coupling = np.zeros(m + 1)
        coupling[m] = beta
        return Projection(matrix, coupling)

    def cut_back(self, kept: list[int]) -> "Projection":
        """Return the projection on the Ritz vectors ``kept``: an arrowhead with the next step."""
        values, vectors = self.eigen
        return Projection(np.diag(values[kept]), self.coupling @ vectors[:, kept])
