"""Products with the Gauss-Newton matrix: of the loss's Hessian between the network's Jacobians."""

from torch import Tensor, nn

from spectra.objective.per_sample import PerSampleLoss
from spectra.products.bent_outputs import BentOutputs
from spectra.products.choose import WAYS
from spectra.products.interface import ChunkHessian, Products
from spectra.products.tangent.gauss_newton import TangentGaussNewton
from spectra.products.tangent.products import TangentProducts
from spectra.products.tuning import Tuning


class GaussNewtonProducts(Products):
    """Products Jᵀ (w ∂²ℓ/∂outputs²) J v of any network, by reverse mode alone.

    Work on a chunk, measured on a ResNet-20: 6 forward units once, 9 for each product.

    Args:
        model: in eval mode.
        loss: per-sample.

    Source: Schraudolph 2002.
    """

    name = "gauss-newton"

    def __init__(self, model: nn.Module, loss: PerSampleLoss) -> None:
        super().__init__(model)
        self.model, self.loss = model, loss

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> ChunkHessian:
        """Build the graphs of the outputs, of Jᵀ u, and of the slope of the loss."""
        return _OutputGraph(
            self,
            BentOutputs(
                lambda: self.model(images),
                list(self.trained.values()),
                lambda outputs: (weights * self.loss(outputs, labels)).sum(),
            ),
        )


class _OutputGraph(ChunkHessian):
    def __init__(self, products: GaussNewtonProducts, bent: BentOutputs) -> None:
        self.products, self.bent = products, bent

    @property
    def nbytes(self) -> int:
        return self.bent.nbytes

    def product(self, direction: dict[str, Tensor]) -> Tensor:
        names = self.products.trained
        found = self.bent.product([direction[name] for name in names])
        return self.products.flat(
            {name: f for name, f in zip(names, found, strict=True) if f is not None}
        )


def make_gauss_newton(way: str, model: nn.Module, loss: PerSampleLoss, tuning: Tuning) -> Products:
    """Return products with the Gauss-Newton matrix of ``model``, in eval mode.

    Args:
        way: how the Hessian's are made, a key of :data:`spectra.products.WAYS`: over the same known
            layers where it is the tangent pass, else by reverse mode.
        model: the network.
        loss: per-sample.
        tuning: the memory order of images and activations; recorded graphs are the Hessian's alone.
    """
    tangent = WAYS[way](model, loss, tuning) if way == "tangent" else None
    if isinstance(tangent, TangentProducts):
        return TangentGaussNewton(tangent)
    return GaussNewtonProducts(model, loss)
