"""Parameters in units of the length of their filter, so that rescaled layers look the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.objective.parameter_slices import ParameterSlices
from spectra.operators.interface import SymmetricOperator

# Ours: what is nearly zero, such as a bias or the filter of a dead unit, may still move, by half of
# what other filters do.
_SHORTEST = 0.5


@dataclass(frozen=True)
class Balance:
    """The units of balanced parameters u, where a step in parameters is s = D u.

    A filter is a row of a weight, or a whole vector of biases or the like. D is its length at w
    over the mean length of the rows of all weights, a geometric mean over the weights. A ReLU
    network whose layers are rescaled, W1 · α and W2 / α, has the same loss as a function of u, and
    so has a search in u. In a network whose filters all have one length, u are the parameters.

    Attributes:
        lengths: of the filter that each parameter belongs to, shape (P,), parameter units.
        mean_length: geometric mean over the weights, parameter units.
        num_filters: how many there are.

    Source: filter normalisation is Li et al. 2018. Departure: the common unit, and the floor.
    """

    lengths: Tensor
    mean_length: float
    num_filters: int

    @property
    def scale(self) -> Tensor:
        """D, shape (P,)."""
        return self.lengths / self.mean_length

    def relative(self, step: Tensor) -> float:
        """Return the root mean square of ‖step of a filter‖ / ‖filter‖ over the filters.

        Args:
            step: in parameter units, shape (P,).
        """
        return float((step / self.lengths).norm()) / self.num_filters**0.5


def balance_filters(parameters: ParameterSlices, w: Tensor) -> Balance:
    """Return the units of parameters whose values are ``w``, shape (P,).

    A row of a weight counts as half the root mean square of its rows at least, anything else as
    half the mean length: what is zero may move too.

    Raises:
        InputError: the shape is another.

    Example:
        >>> slices = ParameterSlices(("weight", "bias"), (torch.Size([2, 2]), torch.Size([2])))
        >>> found = balance_filters(slices, torch.tensor([3.0, 4.0, 0.0, 5.0, 1.0, 0.0]))
        >>> [round(x, 6) for x in found.scale.tolist()]
        [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    if w.shape != (parameters.size,):
        raise InputError(f"w must have shape ({parameters.size},), got {tuple(w.shape)}")
    pieces = w.detach().double().split(parameters.sizes)
    rows = [
        piece.reshape(shape[0], -1) if len(shape) > 1 and shape[0] else piece.reshape(1, -1)
        for piece, shape in zip(pieces, parameters.shapes, strict=True)
    ]
    norms = [row.norm(dim=1) for row in rows]
    sizes = [float(norm.square().mean().sqrt()) for norm in norms]
    shapes = parameters.shapes
    weights = [s for s, shape in zip(sizes, shapes, strict=True) if len(shape) > 1 and s > 0]
    counted = weights or [s for s in sizes if s > 0]
    mean = float(torch.tensor(counted).double().log().mean().exp()) if counted else 1.0
    shortest = [
        size if len(shape) > 1 and size > 0 else mean
        for size, shape in zip(sizes, shapes, strict=True)
    ]
    lengths = torch.cat(
        [
            norm.clamp(min=_SHORTEST * least).repeat_interleave(row.shape[1])
            for norm, row, least in zip(norms, rows, shortest, strict=True)
        ]
    )
    return Balance(lengths, mean, sum(len(row) for row in rows))


class BalancedOperator(SymmetricOperator):
    """D H D: the Hessian in balanced parameters.

    Args:
        op: H.
        scale: diagonal of D, shape (P,), positive.
    """

    def __init__(self, op: SymmetricOperator, scale: Tensor) -> None:
        self.op = op
        self.size, self.device, self.dtype, self.label = op.size, op.device, op.dtype, op.label
        self._scale = scale.to(op.device, op.dtype)

    def matvec(self, v: Tensor) -> Tensor:
        """Return D H D v for ``v`` of shape (P,)."""
        self.check_vector(v)
        return self._scale * self.op.matvec(self._scale * v)
