"""Matrices and functions as operators."""

from collections.abc import Callable

import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.operators.interface import SymmetricOperator


class DenseOperator(SymmetricOperator):
    """A matrix as an operator.

    Args:
        matrix: shape (P, P), symmetric to rounding.

    Raises:
        InputError: it is not square, or not symmetric.

    Example:
        >>> spectra.DenseOperator(torch.tensor([[2.0, 1.0], [1.0, 0.0]])).dense()
        tensor([[2., 1.],
                [1., 0.]])
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

    Example:
        >>> op = spectra.LambdaOperator(lambda v: 2 * v, 3)
        >>> op @ torch.ones(3)
        tensor([2., 2., 2.], dtype=torch.float64)
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


def check_operator(op: object) -> None:
    """Raise InputError unless ``op`` is an operator: where a matrix was given, for instance."""
    if not isinstance(op, SymmetricOperator):
        raise InputError(
            f"op must be an operator, got {type(op).__name__}; spectra.DenseOperator(matrix) makes "
            "one of a matrix, spectra.LambdaOperator of a product"
        )
