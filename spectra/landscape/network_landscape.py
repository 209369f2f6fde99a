"""What a search asks of a loss: its value, gradient and Hessian a step away from w."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from spectra.landscape.walk.balance import Balance, BalancedOperator, balance_filters
from spectra.operators.hessian import HessianOperator
from spectra.operators.interface import SymmetricOperator


class Landscape(Protocol):
    """A loss around a point w of R^P: what :func:`spectra.find_stationary_point` searches.

    Steps are in the units of the parameters, shape (P,), float64, on ``device``.

    Attributes:
        size: P.
        device: where vectors live.
        dtype: of the products of :meth:`hessian`.
        balance: the units of balanced parameters; None: the parameters are searched as they are.
    """

    @property
    def size(self) -> int:
        """P."""

    @property
    def device(self) -> torch.device:
        """Where vectors live."""

    @property
    def dtype(self) -> torch.dtype:
        """Of products."""

    @property
    def balance(self) -> Balance | None:
        """Units in which the search moves."""

    @property
    def image_products(self) -> float | None:
        """What all calls have cost so far, in images times vectors; None where none are counted."""

    def loss(self, step: Tensor) -> float:
        """Return L(w + step)."""

    def gradient(self, step: Tensor) -> Tensor:
        """Return ∇L(w + step), shape (P,), float64."""

    def hessian(self, step: Tensor) -> SymmetricOperator:
        """Return the Hessian at w + step."""

    def exact_hessian(self, step: Tensor) -> SymmetricOperator:
        """Return the same in float64, for what is judged by it."""


class NetworkLandscape:
    """The loss of a network around the point of its operator.

    Losses and gradients are in float64, products in the operator's dtype: a float32 search comes
    as near to a stationary point as a float64 one, in a few rounds more.

    Args:
        op: the Hessian at w.

    Example:
        >>> net = torch.nn.Linear(2, 2)
        >>> H = spectra.HessianOperator(net, torch.randn(4, 2), [0, 1, 1, 0])
        >>> around = spectra.NetworkLandscape(H)
        >>> step = torch.zeros(around.size)
        >>> around.gradient(step).shape, around.hessian(step).size, around.loss(step) > 0
        (torch.Size([6]), 6, True)
    """

    def __init__(self, op: HessianOperator) -> None:
        self.op = op
        self._double = op.in_float64()
        self._spent = op.count.total
        w = torch.cat([p.detach().double().reshape(-1) for p in op.parameters])
        self._balance = balance_filters(op.parameter_slices, w)

    @property
    def size(self) -> int:
        """P."""
        return self.op.size

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.op.device

    @property
    def dtype(self) -> torch.dtype:
        """That of the operator."""
        return self.op.dtype

    @property
    def balance(self) -> Balance:
        """Units of balanced parameters, by the filters at w."""
        return self._balance

    @property
    def image_products(self) -> float:
        """Images times vectors of the products so far, passes counted as a part of one."""
        return self.op.count.total - self._spent

    def loss(self, step: Tensor) -> float:
        """Return L(w + step), of float64 passes."""
        with self._double.moved(step):
            self.op.count.forwards += self.op.num_images
            return self._double.loss()

    def gradient(self, step: Tensor) -> Tensor:
        """Return ∇L(w + step), shape (P,), of float64 passes."""
        with self._double.moved(step):
            self.op.count.forwards += 3 * self.op.num_images  # forward and back
            return self._double.gradient()

    def hessian(self, step: Tensor) -> HessianOperator:
        """Return the operator at w + step, in its own dtype."""
        return self.op.at(step)

    def exact_hessian(self, step: Tensor) -> HessianOperator:
        """Return the operator at w + step in float64."""
        return self._double.at(step)


class BalancedLoss:
    """L(w + D u) as a function of u: its value, gradient D ∇L and Hessian D H D.

    Args:
        landscape: L around w; without a balance, D is the identity.
    """

    def __init__(self, landscape: Landscape) -> None:
        self.landscape = landscape
        self.balance = landscape.balance
        self._scale = None if self.balance is None else self.balance.scale.to(landscape.device)

    def step(self, u: Tensor) -> Tensor:
        """Return s = D u, in the units of the parameters."""
        return u if self._scale is None else self._scale * u

    def loss(self, u: Tensor) -> float:
        """Return L."""
        return self.landscape.loss(self.step(u))

    def gradient(self, u: Tensor) -> Tensor:
        """Return D ∇L."""
        return self.step(self.landscape.gradient(self.step(u)))

    def hessian(self, u: Tensor) -> SymmetricOperator:
        """Return D H D."""
        return self._balanced(self.landscape.hessian(self.step(u)))

    def exact_hessian(self, u: Tensor) -> SymmetricOperator:
        """Return D H D in float64."""
        return self._balanced(self.landscape.exact_hessian(self.step(u)))

    @property
    def size_of_w(self) -> float | None:
        """‖D⁻¹w‖: the square root of the number of filters, in their mean length."""
        if self.balance is None:
            return None
        return self.balance.mean_length * self.balance.num_filters**0.5

    def _balanced(self, op: SymmetricOperator) -> SymmetricOperator:
        return op if self._scale is None else BalancedOperator(op, self._scale)
