"""Symmetric linear operators: a size, a device, a dtype and a product, and what is made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.objective.parameter_slices import ParameterSlices
from spectra.operators.diagonal import DIAGONAL_PROBES, DiagonalEstimate, estimate_diagonal


class SymmetricOperator(ABC):
    """A symmetric linear map on R^P, known by its products.

    It does not change: methods that seem to change it return another operator.

    Attributes:
        size: P.
        device: where vectors live.
        dtype: of vectors.
        label: names the random streams of what is estimated; such as ``8`` for a class.
        vectors_a_pass: how many vectors :meth:`matmat` takes together; 1: one after the other.
        parameter_slices: which entries of a vector belong to which parameter; None where it is of
            no network.
        makes_basis: returns where a Lanczos run keeps its vectors; None: as its storage says.

    Example:
        >>> import spectra
        >>> H = spectra.DenseOperator(torch.tensor([[2.0, 1.0], [1.0, 0.0]]))
        >>> H @ torch.tensor([1.0, 1.0])
        tensor([3., 1.])
        >>> (2 * H - H) @ torch.eye(2)
        tensor([[2., 1.],
                [1., 0.]])
    """

    size: int
    device: torch.device
    dtype: torch.dtype
    label: str = ""
    vectors_a_pass: int = 1
    parameter_slices: ParameterSlices | None = None
    makes_basis: Callable[[SymmetricOperator, int | None], Any] | None = None
    # NumPy's numbers leave their products with operators to these.
    __array_ufunc__ = None

    def __repr__(self) -> str:
        name = type(self).__name__ + (f" of {self.label}" if self.label else "")
        kind = f"{str(self.dtype).removeprefix('torch.')} on {self.device}"
        return f"<{name}: {self.size:,} x {self.size:,}, {kind}>"

    @abstractmethod
    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,); ``v`` is not modified."""

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return H v for each row of ``vectors``, shape (K, P)."""
        return torch.stack([self.matvec(v) for v in vectors])

    def __matmul__(self, other: Tensor) -> Tensor:
        """Return H v for v (P,), or H V for the columns of V (P, K), in the operator's dtype.

        Raises:
            InputError: ``other`` is no tensor of such a shape.
        """
        if not isinstance(other, Tensor):
            raise InputError(
                f"H @ v takes a tensor, got {type(other).__name__}; for arrays use H.to_scipy()"
            )
        if other.is_complex():
            raise InputError(f"H @ v takes real numbers, got {other.dtype}")
        if other.ndim not in (1, 2) or other.shape[0] != self.size:
            raise InputError(
                f"H @ v takes shape ({self.size},), or ({self.size}, K) for columns, got "
                f"{tuple(other.shape)}"
            )
        other = other.to(self.device, self.dtype)
        if other.ndim == 1:
            return self.matvec(other)
        if not other.shape[1]:
            return torch.empty_like(other)
        return self.matmat(other.T.contiguous()).T

    def __mul__(self, factor: float | np.floating[Any] | np.integer[Any]) -> ScaledOperator:
        """Return factor · H as an operator."""
        if not isinstance(factor, int | float | np.floating | np.integer):
            return NotImplemented
        return ScaledOperator(self, float(factor))

    __rmul__ = __mul__

    def __sub__(self, other: SymmetricOperator) -> DifferenceOperator:
        """Return H - G as an operator."""
        if not isinstance(other, SymmetricOperator):
            return NotImplemented
        return DifferenceOperator(self, other)

    def restrict(self, parameters: str | Sequence[str]) -> BlockOperator:
        """Return the block of H of some parameters, an operator on R^(P of the block).

        Args:
            parameters: a name or glob such as ``layer3.*``, or several.

        Raises:
            InputError: a pattern matches no parameter, or the operator is of no network.

        Example:
            >>> import spectra
            >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
            >>> images, labels = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 0])
            >>> block = spectra.class_hessian(net, images, labels, 0).restrict("1.*")
            >>> block.names, block.size
            (('1.weight', '1.bias'), 10)
        """
        return BlockOperator(self, parameters)

    def diagonal(
        self,
        *,
        num_probes: int = DIAGONAL_PROBES,
        seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> DiagonalEstimate:
        """Return an estimate of diag(H) with the standard error of each entry.

        Cost: ``num_probes`` products. See :func:`spectra.operators.diagonal.estimate_diagonal`.
        """
        return estimate_diagonal(self, num_probes=num_probes, seed=seed, generator=generator)

    def check_vector(self, v: Tensor) -> None:
        """Raise InputError unless ``v`` has shape (P,)."""
        if v.shape != (self.size,):
            raise InputError(f"vector must have shape ({self.size},), got {tuple(v.shape)}")

    def check_vectors(self, vectors: Tensor) -> None:
        """Raise InputError unless ``vectors`` has shape (K, P)."""
        if vectors.ndim != 2 or vectors.shape[1] != self.size:
            raise InputError(
                f"vectors must have shape (K, {self.size}), got {tuple(vectors.shape)}"
            )

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.linalg.LinearOperator`` (float64 outside, own dtype inside).

        Its product with several columns is one pass of :meth:`matmat`.
        """
        from scipy.sparse.linalg import LinearOperator

        def product(v: Any) -> Any:
            x = torch.from_numpy(_real(v).reshape(-1))
            return self.matvec(x.to(self.device, self.dtype)).double().cpu().numpy()

        def products(columns: Any) -> Any:
            x = torch.from_numpy(_real(columns))
            return (self @ x).double().cpu().numpy()

        return LinearOperator(
            shape=(self.size, self.size), matvec=product, rmatvec=product, matmat=products,
            rmatmat=products, dtype=np.float64,
        )  # fmt: skip

    def dense(self) -> Tensor:
        """Return the matrix, shape (P, P), by P products: for tests and small networks."""
        identity = torch.eye(self.size, dtype=self.dtype, device=self.device)
        return torch.stack([self.matvec(row) for row in identity])


def _real(values: Any) -> npt.NDArray[np.float64]:
    if np.iscomplexobj(values):
        raise InputError(f"H.to_scipy() takes real numbers, got {np.asarray(values).dtype}")
    return np.array(values, dtype=np.float64, order="C")


class ScaledOperator(SymmetricOperator):
    """A multiple of an operator: for instance a class's contribution to the training objective.

    Args:
        op: H.
        factor: c of c H.

    Example:
        >>> H = spectra.DenseOperator(torch.eye(2))
        >>> spectra.ScaledOperator(H, 0.5) @ torch.ones(2), (0.5 * H) @ torch.ones(2)
        (tensor([0.5000, 0.5000]), tensor([0.5000, 0.5000]))
    """

    def __init__(self, op: SymmetricOperator, factor: float) -> None:
        self.op, self.factor = op, factor
        _take_space_of(op, self)

    def matvec(self, v: Tensor) -> Tensor:
        """Return factor · H v for ``v`` of shape (P,)."""
        return self.op.matvec(v) * self.factor

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return factor · H v for each row of ``vectors``, shape (K, P)."""
        return self.op.matmat(vectors) * self.factor


class DifferenceOperator(SymmetricOperator):
    """H - G: for instance what the bending of the network adds to the Gauss-Newton matrix.

    Args:
        minuend: H.
        subtrahend: G, on the same space.

    Raises:
        InputError: size, device or dtype of the two differ.
    """

    def __init__(self, minuend: SymmetricOperator, subtrahend: SymmetricOperator) -> None:
        spaces = [(op.size, op.device, op.dtype) for op in (minuend, subtrahend)]
        if spaces[0] != spaces[1]:
            found = " and ".join(f"{size} on {where} in {kind}" for size, where, kind in spaces)
            raise InputError(f"a difference needs operators of one size and kind, got {found}")
        self.minuend, self.subtrahend = minuend, subtrahend
        _take_space_of(minuend, self)

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v - G v for ``v`` of shape (P,)."""
        return self.minuend.matvec(v) - self.subtrahend.matvec(v)

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return H v - G v for each row of ``vectors``, shape (K, P)."""
        return self.minuend.matmat(vectors) - self.subtrahend.matmat(vectors)


class BlockOperator(SymmetricOperator):
    """Eᵀ H E: the rows and columns of H that belong to some parameters.

    Cost of a product: one with the whole of H. Where many are needed, a Hessian of a network whose
    other parameters have ``requires_grad=False`` may do with less.

    Args:
        op: H, of a network.
        parameters: a name or glob, or several; see :meth:`SymmetricOperator.restrict`.

    Raises:
        InputError: a pattern matches no parameter, or ``op`` is of no network.
    """

    parameter_slices: ParameterSlices

    def __init__(self, op: SymmetricOperator, parameters: str | Sequence[str]) -> None:
        whole = op.parameter_slices
        if whole is None:
            raise InputError(
                f"blocks need an operator that knows its parameters by name, got "
                f"{type(op).__name__}; restrict the Hessian that it is made of"
            )
        self.op = op
        _take_space_of(op, self)
        self.parameter_slices = whole.block(parameters)
        self.size = self.parameter_slices.size
        self._positions = whole.positions_of(self.names).to(op.device)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the block's parameters, in the order of a vector."""
        return self.parameter_slices.names

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each parameter."""
        return self.parameter_slices.sizes

    @property
    def slices(self) -> dict[str, slice]:
        """Where each parameter lies in a vector of the block, by name."""
        return self.parameter_slices.slices

    def matvec(self, v: Tensor) -> Tensor:
        """Return Eᵀ H E v for ``v`` of shape (P of the block,)."""
        self.check_vector(v)
        return self.op.matvec(self._spread(v))[self._positions]

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return Eᵀ H E v for each row of ``vectors``, shape (K, P of the block)."""
        self.check_vectors(vectors)
        return self.op.matmat(self._spread(vectors))[:, self._positions]

    def _spread(self, values: Tensor) -> Tensor:
        """Return E v of a vector or of rows: zeros where other parameters are."""
        values = values.to(self.device, self.dtype)
        whole = values.new_zeros((*values.shape[:-1], self.op.size))
        return whole.index_copy_(-1, self._positions, values)


def _take_space_of(op: SymmetricOperator, made: SymmetricOperator) -> None:
    """Give ``made`` the size, place, kind, names and label of ``op``."""
    made.size, made.device, made.dtype = op.size, op.device, op.dtype
    made.label, made.parameter_slices = op.label, op.parameter_slices
    made.vectors_a_pass = op.vectors_a_pass
