"""Products by double backward: any network whose backward pass can be differentiated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spectra.objective.kept_tensors import counted
from spectra.objective.per_sample import PerSampleLoss
from spectra.products.interface import ChunkHessian, Products


class DoubleBackwardProducts(Products):
    """Products by reverse mode over reverse mode, the graph of the gradient kept for each chunk.

    Work on a chunk: 3 forward units once, 6 to 7 for each product.

    Args:
        model: in eval mode.
        loss: per-sample.

    Source: Pearlmutter 1994, as double backward.
    """

    name = "double-backward"

    def __init__(self, model: nn.Module, loss: PerSampleLoss) -> None:
        super().__init__(model)
        self.model, self.loss = model, loss

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> GradientGraph:
        """Build the graph of the gradient."""
        found = counted(lambda: self._loss_and_gradients(images, labels, weights))
        loss, gradients = found.made
        return GradientGraph(self, loss, gradients, found.nbytes)

    @torch.enable_grad()
    def _loss_and_gradients(
        self, images: Tensor, labels: Tensor, weights: Tensor
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        total = (weights * self.loss(self.model(images), labels)).sum()
        if not total.requires_grad:  # no parameter reaches the loss
            return total.detach(), [None] * len(self.trained)
        gradients = torch.autograd.grad(
            total, list(self.trained.values()), create_graph=True, allow_unused=True
        )
        return total.detach(), gradients


class GradientGraph(ChunkHessian):
    """The graph of a chunk's gradient.

    Attributes:
        loss: Σ_i w_i ℓ_i over the chunk.
        gradients: its gradient, one by parameter; None where no gradient reaches one.
    """

    def __init__(
        self,
        products: DoubleBackwardProducts,
        loss: Tensor,
        gradients: Sequence[Tensor | None],
        nbytes: int,
    ) -> None:
        self.products, self.loss, self.gradients = products, loss, gradients
        self._nbytes = nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of what the graph saved."""
        return self._nbytes

    @torch.enable_grad()
    def product(self, direction: dict[str, Tensor]) -> Tensor:
        """Return Σ_i w_i ∇²ℓ_i v over the chunk, shape (P,)."""
        # A gradient that does not depend on the parameters has no graph: its Hessian rows are 0.
        named = self.products.trained
        pairs = [
            (g, direction[n])
            for n, g in zip(named, self.gradients, strict=True)
            if g is not None and g.requires_grad
        ]
        found: dict[str, Tensor] = {}
        if pairs:
            products = torch.autograd.grad(
                [g for g, _ in pairs],
                list(named.values()),
                grad_outputs=[v for _, v in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
            found = dict(zip(named, products, strict=True))
        return self.products.flat(found)
