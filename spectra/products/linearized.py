"""Products by ``torch.func.linearize`` of the gradient: forward mode over reverse mode."""

import operator
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, grad, linearize
from torch.fx.experimental.const_fold import FoldedGraphModule

from spectra.objective.per_sample import PerSampleLoss
from spectra.products.interface import ChunkHessian, Products
from spectra.system.quiet import quiet


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
        super().__init__(model)
        self.model, self.loss = model, loss

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> ChunkHessian:
        """Trace the gradient's tangent."""

        def total(trained: dict[str, Tensor]) -> Tensor:
            outputs = functional_call(self.model, trained, (images,))
            return (weights * self.loss(outputs, labels)).sum()

        with quiet():
            point = {n: p.detach() for n, p in self.trained.items()}
            _, moved = linearize(grad(total), point)
        return _Linearized(self, moved)


class _Linearized(ChunkHessian):
    def __init__(
        self,
        products: LinearizedProducts,
        moved: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    ) -> None:
        self.products, self.moved = products, moved
        storages: dict[int, int] = {}
        for cell in getattr(moved, "__closure__", None) or ():
            graph = cell.cell_contents
            if isinstance(graph, FoldedGraphModule):
                graph.run_folding()
                graph.const_subgraph_module = None
                _protect_constants(graph)
                for value in (*graph.parameters(), *graph.buffers()):
                    if not value._is_zerotensor():
                        storage = value.untyped_storage()
                        storages[storage.data_ptr()] = storage.nbytes()
        self._nbytes = sum(storages.values())

    @property
    def nbytes(self) -> int:
        return self._nbytes

    @torch.no_grad()
    def product(self, direction: dict[str, Tensor]) -> Tensor:
        return self.products.flat(self.moved(direction))


def _protect_constants(module: fx.GraphModule) -> None:
    """Give every product copies of the constants that the graph writes to.

    ``linearize`` folds buffers of zeros into constants, and then adds to them: a second product
    would begin with what the first one left (torch 2.13, attention and in-place SiLU).
    """
    origin: dict[fx.Node, fx.Node] = {}
    written: dict[fx.Node, None] = {}  # a set in the graph's order
    for node in module.graph.nodes:
        if node.op == "get_attr":
            # Several constants are one list.
            items = [user for user in node.users if user.target is operator.getitem]
            origin |= {item: item for item in items or [node]}
        if not isinstance(node.target, torch._ops.OpOverload):
            continue
        for formal, given in zip(node.target._schema.arguments, node.args, strict=False):
            if formal.alias_info is None or not isinstance(given, fx.Node) or given not in origin:
                continue
            origin[node] = origin[given]  # a view, or what was written to
            if formal.alias_info.is_write:
                written[origin[given]] = None
    for node in written:
        users = list(node.users)
        with module.graph.inserting_after(node):
            fresh = module.graph.call_function(torch.clone, (node,))
        for user in users:
            user.replace_input_with(node, fresh)
    if written:
        module.recompile()
