"""What a way of making Hessian-vector products looks like."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class ChunkHessian(ABC):
    """The Hessian of Σ w_i ℓ_i over one chunk of images, with its primal work done."""

    @abstractmethod
    def product(self, direction: Any) -> Tensor:
        """Return H v, shape (P,), or (K, P) for several v, of what :meth:`Products.direction` made.

        The result is not written to by later products.
        """

    def second_derivatives(self, direction: Any, *, by_image: bool = False) -> Tensor:
        """Return vᵀHv of each of K vectors, and the sum of the sizes of its terms, (2, K), float64.

        Of those whose :attr:`Products.derives_twice` says so: it then costs less than a product.

        Args:
            direction: what :meth:`Products.direction` made.
            by_image: return the same of each image, (2, K n), where
                :attr:`Products.tells_images_apart` says that it can be.
        """
        raise NotImplementedError

    def gradient(self) -> Tensor:
        """Return the gradient of Σ w_i ℓ_i, (P,), where :attr:`Products.moves_only_layers`."""
        raise NotImplementedError

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that this object keeps."""


class Products(ABC):
    """A way of making products for one network and loss.

    Args:
        model: in eval mode.

    Attributes:
        name: as results record it.
        on_many_cores: whether chunks may be worked on by several threads at once.
        stacks: whether several vectors may be taken through a chunk together.
        derives_twice: whether its chunks have :meth:`ChunkHessian.second_derivatives`.
        folds_norms: whether weights with batch norms folded in are held beside the network's own.
        moves_only_layers: whether no parameter moves but those of layers that are folded.
        tells_images_apart: whether it has second derivatives by image, see
            :func:`spectra.operators.curvatures.images_are_told_apart`; None where nobody asked.
        trained: the network's trainable parameters by name, in the order of a vector.
    """

    name: str
    on_many_cores: bool = False
    stacks: bool = False
    derives_twice: bool = False
    folds_norms: bool = False
    moves_only_layers: bool = False
    tells_images_apart: bool | None = None

    def __init__(self, model: nn.Module) -> None:
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}

    @abstractmethod
    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> ChunkHessian:
        """Do the primal work on one chunk: images (n, ...), labels (n,), weights (n,)."""

    def direction(self, vectors: Tensor) -> Any:
        """Return what chunks take of a vector (P,), or of several (K, P) where ``stacks``.

        Made once for all chunks of a product.
        """
        pieces = vectors.split([p.numel() for p in self.trained.values()])
        return {
            n: piece.view_as(p) for (n, p), piece in zip(self.trained.items(), pieces, strict=True)
        }

    def flat(self, named: dict[str, Tensor]) -> Tensor:
        """Return values by parameter name as one vector (P,); absent names stand for 0."""
        pieces = [
            named[n].reshape(-1) if n in named else torch.zeros_like(p).reshape(-1)
            for n, p in self.trained.items()
        ]
        return torch.cat(pieces)
