"""The Lanczos recurrence with full reorthogonalisation."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from spectra.errors import InputError, NonFiniteError
from spectra.operators import SymmetricOperator

FloatArray = npt.NDArray[np.float64]
# Columns of the basis that are widened to float64 at a time: bounds the extra memory.
_BLOCK = 65536
# Ours: relative to the largest recurrence coefficients, β under this is the rounding of a product,
# which grows as √P; in float32 it is held below the couplings of a real bulk beside outliers.
_ROUNDING, _ROUNDING_LIMIT = 10.0, 5e-6


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


class Lanczos:
    """A Lanczos run that can be carried on: one basis vector and one product a step.

    The basis is stored, and its projections are taken, in the operator's dtype; α, β and the vector
    in work are float64. Each new vector is orthogonalised against all former ones, twice, which
    leaves them orthogonal to the rounding of that dtype.

    Memory: one vector of the operator's dtype a step.

    Args:
        op: operator on R^P; its symmetry is trusted, not checked.
        v0: start vector, shape (P,), finite and non-zero; not modified.

    Raises:
        InputError: v0 violates the above.
    """

    def __init__(self, op: SymmetricOperator, v0: Tensor) -> None:
        op.check_vector(v0)
        norm = float(v0.double().norm())
        if not (np.isfinite(norm) and norm > 0):
            raise InputError(f"v0 must be finite and non-zero, its norm is {norm}")
        self.op = op
        self.alphas: list[float] = []
        self.betas: list[float] = []
        self.closed = False
        self._basis = torch.empty((8, op.size), dtype=op.dtype, device=op.device)
        self._basis[0] = (v0.to(op.device).double() / norm).to(op.dtype)

    def __len__(self) -> int:
        return len(self.alphas)

    def step(self) -> bool:
        """Make one step; return False, doing nothing, where the Krylov space has closed.

        Raises:
            NonFiniteError: the product held NaN or infinity.
        """
        if self.closed:
            return False
        k = len(self)
        w = self.op.matvec(self._basis[k]).double()
        alpha = float(w @ self._basis[k].double())
        if not np.isfinite(alpha):
            raise NonFiniteError(f"the product of Lanczos step {k + 1} held NaN or infinity")
        self.alphas.append(alpha)
        w = self._orthogonalise(self._orthogonalise(w))
        beta = float(w.norm())
        # Below rounding of the products, direction and size of w are noise.
        scale = max(abs(a) for a in self.alphas) + max(self.betas, default=0.0)
        rounding = _ROUNDING * self.op.size**0.5 * torch.finfo(self.op.dtype).eps
        negligible = beta <= min(rounding, _ROUNDING_LIMIT) * scale
        if negligible or len(self) == self.op.size:
            self.closed = True
            beta = 0.0
        self.betas.append(beta)
        if not self.closed:
            # Once more at length 1: where w was small, what is left of the basis has grown with it.
            self._append(self._orthogonalise(w / beta))
        return True

    def restart(self, vector: Tensor) -> bool:
        """Go on from a closed space with a new direction; return False where none is left.

        The new block is coupled to the old one by β = 0, so a start vector that happened to miss
        an eigenvector does not hide it.

        Args:
            vector: shape (P,), random.
        """
        if not self.closed or len(self) == self.op.size:
            return False
        q = vector.to(self.op.device).double()
        for _ in range(3):
            q = self._orthogonalise(q / q.norm())
        self.closed = False
        self._append(q)
        return True

    def run(self, num_steps: int) -> "Lanczos":
        """Step until ``num_steps`` steps are done in all, or the space closes; return self."""
        while len(self) < num_steps and self.step():
            pass
        return self

    def tridiagonal(self, *, since: int = 0) -> Tridiagonal:
        """Return the projection so far, or that of the block that began at step ``since``."""
        return Tridiagonal(
            np.array(self.alphas[since:]),
            np.array(self.betas[since:-1]),
            self.betas[-1],
            self.closed,
        )

    def ritz_vector(self, coefficients: FloatArray) -> Tensor:
        """Return Q s, shape (P,), float64, of length 1, for ``coefficients`` s of shape (m,)."""
        s = torch.from_numpy(np.ascontiguousarray(coefficients)).to(self.op.device)
        vector = torch.empty(self.op.size, dtype=torch.float64, device=self.op.device)
        for start in range(0, self.op.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            vector[block] = s @ self._basis[: len(s), block].double()
        return vector / vector.norm()

    def ritz_vectors(self, coefficients: FloatArray) -> Tensor:
        """Return the columns of ``coefficients`` (m, k) as vectors, shape (k, P), in op's dtype."""
        s = torch.from_numpy(np.ascontiguousarray(coefficients.T)).to(self._basis)
        return s @ self._basis[: len(coefficients)]

    def _orthogonalise(self, w: Tensor) -> Tensor:
        basis = self._basis[: len(self)]
        return w - ((basis @ w.to(basis.dtype)) @ basis).double()

    def _append(self, q: Tensor) -> None:
        k = len(self)
        if k == len(self._basis):
            room = min(k, max(0, self.op.size - k)) or 1
            self._basis = torch.cat([self._basis, self._basis.new_empty((room, self.op.size))])
        self._basis[k] = (q / q.norm()).to(self.op.dtype)


def lanczos_tridiag(op: SymmetricOperator, v0: Tensor, *, num_steps: int) -> Tridiagonal:
    """Run up to ``num_steps`` Lanczos steps on ``op`` with full reorthogonalisation.

    Cost: ``num_steps`` matvecs, O(num_steps² P) flops, ``num_steps`` stored vectors.

    Args:
        op: operator on R^P; its symmetry is trusted, not checked.
        v0: start vector, shape (P,), finite and non-zero; not modified.
        num_steps: Krylov dimension, 1 <= num_steps <= P (PyHessian: ``iter``, ARPACK: ``ncv``).

    Returns:
        alphas (m,) and betas (m-1,) in eigenvalue units (loss / parameter²); m < num_steps
        means that the Krylov space closed early, which is not an error.

    Raises:
        InputError: v0 or num_steps violates the above.
        NonFiniteError: a matvec returned NaN or inf.

    Source: Golub & Van Loan, Matrix Computations, 4th ed., chapter 10. Departure: Gram-Schmidt
    twice.
    """
    if not 1 <= num_steps <= op.size:
        raise InputError(f"num_steps must lie in 1..{op.size}, got {num_steps}")
    return Lanczos(op, v0).run(num_steps).tridiagonal()
