"""The matrix that a Lanczos run leaves: its eigenvalues, weights and residuals.

Tridiagonal as a run makes it, an arrowhead inside where its basis was cut back.
"""

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
        betas: off-diagonal, shape (m-1,), in the same units.
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

    def first_block(self) -> "Tridiagonal":
        """Return the projection on the space of the start vector: up to where that closed.

        >>> import numpy as np
        >>> from spectra.krylov.tridiagonal import Tridiagonal
        >>> t = Tridiagonal(np.ones(3), np.array([0.5, 0.0]), 0.1, closed=False)
        >>> len(t.first_block()), t.first_block().closed
        (2, True)
        """
        ends = np.flatnonzero(self.betas == 0)
        if not len(ends):
            return self
        size = int(ends[0]) + 1
        return Tridiagonal(self.alphas[:size], self.betas[: size - 1], 0.0, closed=True)

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


@dataclass(frozen=True)
class WithoutCopies(Tridiagonal):
    """T of a run without a basis, its Ritz pairs counted once: copies (ghosts) are left out.

    Without reorthogonalisation an eigenvector that has converged comes back, and T has its value
    again: as a second eigenvalue, with a residual as small as the first. Two neighbouring Ritz
    values count as one where they are no further apart than their residuals and the rounding of
    products together: then they may be of one eigenvalue, and no more is claimed. Of each group the
    pair of the least residual stays.

    Attributes:
        rounding: of products, in eigenvalue units.

    Source: Cullum & Willoughby 1985, chapter 4: eigenvalues of T that are numerically multiple are
    eigenvalues of H, once. Departure: residuals say what is multiple, so that a copy that is only
    coming up is none either.

    >>> import numpy as np
    >>> once = WithoutCopies(np.array([1.0, 1.0, 3.0]), np.array([1e-9, 0.5]), 0.0, False, 1e-6)
    >>> once.ritz_values().round(3).tolist(), once.ritz_coefficients().shape
    ([0.882, 1.0, 3.118], (3, 3))
    """

    rounding: float = 0.0

    @cached_property
    def _eigen(self) -> tuple[FloatArray, FloatArray]:
        values, vectors = eigh_tridiagonal(self.alphas, self.betas)
        residuals = np.abs(self.residual_beta * vectors[-1])
        reach = residuals[1:] + residuals[:-1] + self.rounding
        group = np.concatenate([[0], np.cumsum(np.diff(values) > reach)])
        order = np.lexsort((residuals, group))
        kept = order[np.unique(group[order], return_index=True)[1]]
        return values[kept], vectors[:, kept]

    def leading(self, num_steps: int) -> "WithoutCopies":
        """Return the projection after the first ``num_steps`` steps."""
        t = super().leading(num_steps)
        return WithoutCopies(t.alphas, t.betas, t.residual_beta, t.closed, self.rounding)


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
