"""Symmetric linear operators: a size, a device, a dtype and a product, nothing more."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError


class SymmetricOperator(ABC):
    """A symmetric linear map on R^P, known by its products.

    Attributes:
        size: P.
        device: where vectors live.
        dtype: of vectors.
        vectors_a_pass: how many vectors :meth:`matmat` takes together; 1: one after the other.
    """

    size: int
    device: torch.device
    dtype: torch.dtype
    vectors_a_pass: int = 1

    @abstractmethod
    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,); ``v`` is not modified."""

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return H v for each row of ``vectors``, shape (K, P)."""
        return torch.stack([self.matvec(v) for v in vectors])

    def check_vector(self, v: Tensor) -> None:
        """Raise InputError unless ``v`` has shape (P,)."""
        if v.shape != (self.size,):
            raise InputError(f"vector must have shape ({self.size},), got {tuple(v.shape)}")

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.linalg.LinearOperator`` (float64 outside, own dtype inside)."""
        from scipy.sparse.linalg import LinearOperator

        def product(v: Any) -> Any:
            x = torch.from_numpy(np.array(v, dtype=np.float64).reshape(-1))
            return self.matvec(x.to(self.device, self.dtype)).double().cpu().numpy()

        return LinearOperator(
            shape=(self.size, self.size), matvec=product, rmatvec=product, dtype=np.float64
        )

    def dense(self) -> Tensor:
        """Return the matrix, shape (P, P), by P products: for tests and small networks."""
        identity = torch.eye(self.size, dtype=self.dtype, device=self.device)
        return torch.stack([self.matvec(row) for row in identity])


class DenseOperator(SymmetricOperator):
    """A matrix as an operator.

    Args:
        matrix: shape (P, P), symmetric to rounding.
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"matrix must be square, got shape {tuple(matrix.shape)}")
        if not torch.allclose(matrix, matrix.T, rtol=1e-5, atol=1e-6 * float(matrix.abs().max())):
            raise InputError("matrix must be symmetric; pass (A + A.T) / 2 if it is nearly so")
        self.matrix = matrix
        self.size, self.device, self.dtype = len(matrix), matrix.device, matrix.dtype

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,)."""
        self.check_vector(v)
        return self.matrix @ v


class LambdaOperator(SymmetricOperator):
    """A function as an operator.

    Args:
        function: maps (P,) to (P,); its linearity and symmetry are trusted.
        size: P.
        dtype: of vectors.
        device: of vectors.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        size: int,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.function, self.size, self.dtype = function, size, dtype
        self.device = torch.device(device)

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,)."""
        self.check_vector(v)
        return self.function(v)


class ScaledOperator(SymmetricOperator):
    """A multiple of an operator: for instance a class's contribution to the training objective."""

    def __init__(self, op: SymmetricOperator, factor: float) -> None:
        self.op, self.factor = op, factor
        self.size, self.device, self.dtype = op.size, op.device, op.dtype

    def matvec(self, v: Tensor) -> Tensor:
        """Return factor · H v for ``v`` of shape (P,)."""
        return self.op.matvec(v) * self.factor
