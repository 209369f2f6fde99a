"""What a way of making Hessian-vector products looks like."""

from abc import ABC, abstractmethod

from torch import Tensor


class ChunkHessian(ABC):
    """The Hessian of Σ w_i ℓ_i over one chunk of images, with its primal work done."""

    @abstractmethod
    def product(self, directions: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return H v by parameter name, for v by parameter name; absent names stand for 0."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that this object keeps."""


class Products(ABC):
    """A way of making products for one network and loss.

    Attributes:
        name: as results record it.
        on_many_cores: whether chunks may be worked on by several threads at once.
    """

    name: str
    on_many_cores: bool = False

    @abstractmethod
    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> ChunkHessian:
        """Do the primal work on one chunk: images (n, ...), labels (n,), weights (n,)."""
