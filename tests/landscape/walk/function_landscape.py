"""A function of a float64 vector as a landscape, with dense derivatives by torch.func."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, jacrev

from spectra import Balance, DenseOperator


class FunctionLandscape:
    """``function`` around ``w``, shape (P,)."""

    device, dtype = torch.device("cpu"), torch.float64
    image_products = None

    def __init__(
        self, function: Callable[[Tensor], Tensor], w: Tensor, *, balance: Balance | None = None
    ) -> None:
        self.function, self.w, self.balance, self.size = function, w.double(), balance, len(w)

    def loss(self, step: Tensor) -> float:
        return float(self.function(self.w + step))

    def gradient(self, step: Tensor) -> Tensor:
        return grad(self.function)(self.w + step).detach()

    def hessian(self, step: Tensor) -> DenseOperator:
        matrix = jacrev(grad(self.function))(self.w + step).detach()
        return DenseOperator((matrix + matrix.T) / 2)

    exact_hessian = hessian


def quadratic(curvatures: Tensor, slopes: Tensor) -> FunctionLandscape:
    """Return ½ Σ λ x² + Σ a x around 0."""
    return FunctionLandscape(
        lambda x: 0.5 * (curvatures * x**2).sum() + slopes @ x, torch.zeros(len(curvatures))
    )
