"""The matrix that a Lanczos run leaves: its eigenvalues, weights and residuals."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh_tridiagonal

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tridiagonal:
    """T = QᵀHQ, the projection of an operator on a Krylov space.

    Attributes:
        alphas: diagonal, shape (m,), in eigenvalue units (loss / parameter²).
        betas: off-diagonal, shape (m-1,), likewise.
        residual_beta: β_m, what couples the space to the rest; 0 where it closed.
        closed: the Krylov space is invariant: more steps would add nothing.
    """

    alphas: FloatArray
    betas: FloatArray
    residual_beta: float
    closed: bool

    def __len__(self) -> int:
        return len(self.alphas)

    @cached_property
    def _eigen(self) -> tuple[FloatArray, FloatArray]:
        values, vectors = eigh_tridiagonal(self.alphas, self.betas)
        return values, vectors

    def ritz_values(self) -> FloatArray:
        """Return the eigenvalues of T, shape (m,), rising."""
        return self._eigen[0]

    def ritz_coefficients(self) -> FloatArray:
        """Return the eigenvectors of T as columns, shape (m, m)."""
        return self._eigen[1]

    def matrix(self) -> FloatArray:
        """Return T written out, shape (m, m)."""
        return np.diag(self.alphas) + np.diag(self.betas, 1) + np.diag(self.betas, -1)

    def quadrature_weights(self) -> FloatArray:
        """Return the squared first components, shape (m,): they sum to 1."""
        return self._eigen[1][0] ** 2

    def residual_bounds(self) -> FloatArray:
        """Return |β_m s_m| for each Ritz pair, shape (m,): ‖H y - θ y‖ in exact arithmetic."""
        return np.abs(self.residual_beta * self._eigen[1][-1])

    def leading(self, num_steps: int) -> "Tridiagonal":
        """Return the projection after the first ``num_steps`` steps."""
        if num_steps >= len(self):
            return self
        return Tridiagonal(
            self.alphas[:num_steps],
            self.betas[: num_steps - 1],
            float(self.betas[num_steps - 1]),
            closed=False,
        )
