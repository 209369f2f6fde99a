"""Products by ``torch.func.linearize`` of the gradient: forward mode over reverse mode."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, linearize

from spectra.losses import PerSampleLoss
from spectra.products.interface import ChunkHessian, Products


class LinearizedProducts(Products):
    """Products of a network that forward-mode AD knows all operations of.

    Work on a chunk: the gradient is traced once, with what does not depend on the direction folded
    into constants; about 6 forward units for each product.

    Args:
        model: in eval mode.
        loss: per-sample.
    """

    name = "linearize"

    def __init__(self, model: nn.Module, loss: PerSampleLoss) -> None:
        self.model, self.loss = model, loss
        self.trained = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> ChunkHessian:
        """Trace the gradient's tangent."""

        def total(trained: dict[str, Tensor]) -> Tensor:
            outputs = functional_call(self.model, trained, (images,))
            return (weights * self.loss(outputs, labels)).sum()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's tracing warns of its own internals
            _, moved = linearize(grad(total), self.trained)
        return _Linearized(moved, self.trained)


class _Linearized(ChunkHessian):
    def __init__(
        self,
        moved: Callable[[dict[str, Tensor]], dict[str, Tensor]],
        trained: dict[str, Tensor],
    ) -> None:
        self.moved, self.trained = moved, trained
        storages: dict[int, int] = {}
        for cell in getattr(moved, "__closure__", None) or ():
            graph = cell.cell_contents
            if isinstance(graph, nn.Module):
                for value in (*vars(graph).values(), *graph.buffers()):
                    if isinstance(value, Tensor):
                        storage = value.untyped_storage()
                        storages[storage.data_ptr()] = storage.nbytes()
        self._nbytes = sum(storages.values())

    @property
    def nbytes(self) -> int:
        return self._nbytes

    @torch.no_grad()
    def product(self, directions: dict[str, Tensor]) -> dict[str, Tensor]:
        along = {n: directions.get(n, torch.zeros_like(p)) for n, p in self.trained.items()}
        return dict(self.moved(along))
