"""Products with the Gauss-Newton matrix by a tangent pass up and a plain backward pass down."""

from __future__ import annotations

import torch
from torch import Tensor

from spectra.objective.network.own_calls import called_as_own
from spectra.products.bent_outputs import BentOutputs
from spectra.products.interface import ChunkHessian, Products
from spectra.products.tangent.folding import Direction, Moved
from spectra.products.tangent.products import TangentProducts


class TangentGaussNewton(Products):
    """Products Jᵀ (w ∂²ℓ/∂outputs²) J v over the layers of a tangent pass.

    Work on a chunk: 3 forward units once, 4 for each product. What comes after the traced layers,
    to the outputs, goes through torch's graph.

    Args:
        products: the Hessian's, of the same network and loss.
    """

    name = "gauss-newton"

    def __init__(self, products: TangentProducts) -> None:
        self.trained, self.on_many_cores = products.trained, products.on_many_cores
        self.products = products

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> ChunkHessian:
        """Do the primal work on one chunk."""
        return _Chunk(self.products, images, labels, weights)

    def direction(self, vectors: Tensor) -> Direction:
        """Fold a vector (P,)."""
        return self.products.direction(vectors)


class _Chunk(ChunkHessian):
    def __init__(
        self, products: TangentProducts, images: Tensor, labels: Tensor, weights: Tensor
    ) -> None:
        self.products = products
        self.chunk = chunk = products.linearise(images, labels, weights)
        rest = chunk.rest
        self.bent = BentOutputs(
            lambda: called_as_own(rest.network, rest.features),
            [rest.features, *rest.leaves],
            lambda outputs: (weights * products.loss(outputs, labels)).sum(),
        )

    @property
    def nbytes(self) -> int:
        return self.chunk.nbytes + self.bent.nbytes

    @torch.no_grad()
    def product(self, direction: Direction) -> Tensor:
        chunk, rest = self.chunk, self.chunk.rest
        of_rest = direction.rest[len(self.products.own) :]
        along = [v.view_as(leaf) for v, leaf in zip(of_rest, rest.leaves, strict=True)]
        tangent = chunk.tangent_of_features(direction)
        if tangent is not None:
            tangent = tangent.reshape(rest.features.shape)
        bent, *gradients = self.bent.product([tangent, *along])
        found = Moved()
        found.rest = [
            (torch.zeros_like(leaf) if g is None else g).reshape(-1)
            for g, leaf in zip(gradients, rest.leaves, strict=True)
        ]
        chunk.let_go_of_tangents()
        if bent is None:
            bent = torch.zeros_like(rest.features)
        still = self.products.folding.still()
        return chunk.pulled_back(self.products.packed(bent), still, found, None)
