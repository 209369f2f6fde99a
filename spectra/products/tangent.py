"""Products by a tangent pass over layers whose primal work was done once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spectra.losses import PerSampleLoss
from spectra.products.affine import Convolution
from spectra.products.interface import ChunkHessian, Products
from spectra.products.layers import Directions, Saved, packed
from spectra.products.trace import Trace


class TangentProducts(Products):
    """Products of a network that :func:`spectra.products.trace.trace` can read.

    Work on a chunk: 3 forward units once (values, cotangents, gradients of folded layers), 6 for
    each product. What comes after the traced layers, the loss included, goes through a kept graph
    of double backward; it is small.

    Args:
        model: in eval mode.
        traced: its layers.
        loss: per-sample.
    """

    name = "tangent"

    def __init__(self, model: nn.Module, traced: Trace, loss: PerSampleLoss) -> None:
        self.trace, self.loss = traced, loss
        # Matrix products of small fully connected nets share torch's own threads.
        self.on_many_cores = any(isinstance(s.layer, Convolution) for s in traced.steps)
        self.shapes = {n: p.shape for n, p in model.named_parameters() if p.requires_grad}
        # Values that depend on a parameter: only they have tangents and cotangents.
        self.moving: set[str] = set()
        self.last_use: dict[str, int] = {}
        for i, step in enumerate(traced.steps):
            if getattr(step.layer, "names", None) or self.moving & set(step.inputs):
                self.moving.add(step.output)
            for name in step.inputs:
                self.last_use[name] = i

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> TangentChunk:
        """Do the primal work on one chunk."""
        return TangentChunk(self, images, labels, weights)


class TangentChunk(ChunkHessian):
    """One chunk of images, its values and cotangents at hand."""

    def __init__(
        self, products: TangentProducts, images: Tensor, labels: Tensor, weights: Tensor
    ) -> None:
        self.products = products
        trace = products.trace
        values, self.saved = {trace.image: packed(images)}, []
        with torch.no_grad():
            for i, step in enumerate(trace.steps):
                inputs = tuple(values[name] for name in step.inputs)
                output = step.layer.value(*inputs)
                self.saved.append(Saved(inputs, output))
                values[step.output] = output
                for name in step.inputs:
                    if products.last_use[name] == i:
                        del values[name]
        self._finish(values[trace.features], labels, weights)
        self._pull()

    def _finish(self, features: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Take the rest of the network and the loss, and keep the graph of their gradient."""
        trace = self.products.trace
        known = dict(trace.rest.named_parameters())
        # Not functional_call with copies: it writes to the module, which other threads are reading.
        self.leaves = [known[name] for name in trace.rest_names]
        with torch.enable_grad():
            # In the order that the network itself would see: a view may depend on it.
            self.features = features.detach().contiguous().requires_grad_()
            outputs = trace.rest(self.features)
            loss = (weights * self.products.loss(outputs, labels)).sum()
            self.rest_gradients = torch.autograd.grad(
                loss, [self.features, *self.leaves], create_graph=True, materialize_grads=True
            )

    @torch.no_grad()
    def _pull(self) -> None:
        """Take the cotangents back through the layers."""
        trace, moving = self.products.trace, self.products.moving
        cotangents: dict[str, Tensor | None] = {trace.features: self.rest_gradients[0].detach()}
        for step, saved in zip(reversed(trace.steps), reversed(self.saved), strict=True):
            if step.output not in moving:
                saved.keep(frozenset())
                continue
            saved.delta = _in_order_of(cotangents.pop(step.output), saved.output)
            wanted = [name in moving for name in step.inputs]
            pulled = step.layer.pull(saved, wanted)
            _accumulate(cotangents, step.inputs, pulled, wanted)
            saved.keep(step.layer.keeps)

    @torch.no_grad()
    def product(self, directions: Directions) -> Directions:
        """Return Σ_i w_i ∇²ℓ_i v over the chunk, by parameter name."""
        trace, moving = self.products.trace, self.products.moving
        tangents: dict[str, Tensor | None] = {trace.image: None}
        for i, (step, saved) in enumerate(zip(trace.steps, self.saved, strict=True)):
            saved.input_tangents = tuple(tangents[name] for name in step.inputs)
            moved = step.output in moving
            tangents[step.output] = step.layer.tangent(saved, directions) if moved else None
            for name in step.inputs:
                if self.products.last_use[name] == i:
                    del tangents[name]
        gradients: Directions = {}
        d_delta = self._rest_product(tangents[trace.features], directions, gradients)
        cotangents: dict[str, Tensor | None] = {trace.features: d_delta}
        for step, saved in zip(reversed(trace.steps), reversed(self.saved), strict=True):
            if step.output not in moving:
                continue
            wanted = [name in moving for name in step.inputs]
            pulled = step.layer.pull_tangent(
                saved, cotangents.pop(step.output), directions, gradients, wanted
            )
            saved.input_tangents = ()
            _accumulate(cotangents, step.inputs, pulled, wanted)
        return gradients

    def _rest_product(
        self, tangent: Tensor | None, directions: Directions, gradients: Directions
    ) -> Tensor:
        """Return the tangent of the features' cotangent; the rest's Hessian is symmetric."""
        names = self.products.trace.rest_names
        along = [tangent, *(directions.get(name) for name in names)]
        pairs = [
            (g, d)
            for g, d in zip(self.rest_gradients, along, strict=True)
            if d is not None and g.requires_grad
        ]
        if not pairs:
            return packed(torch.zeros_like(self.features))
        moved = torch.autograd.grad(
            [g for g, _ in pairs],
            [self.features, *self.leaves],
            [d for _, d in pairs],
            retain_graph=True,
            materialize_grads=True,
        )
        gradients.update(zip(names, moved[1:], strict=True))
        return packed(moved[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are kept."""
        storages: dict[int, int] = {}
        for saved in self.saved:
            for t in saved.tensors:
                storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return sum(storages.values())


def _accumulate(
    cotangents: dict[str, Tensor | None],
    names: tuple[str, ...],
    pulled: list[Tensor | None],
    wanted: list[bool],
) -> None:
    for name, value, want in zip(names, pulled, wanted, strict=True):
        if not want:
            continue
        before = cotangents.get(name)
        if before is None or value is None:
            cotangents[name] = value if before is None else before
        else:
            cotangents[name] = before + value


def _in_order_of(cotangent: Tensor | None, output: Tensor | None) -> Tensor:
    """Return ``cotangent`` in the memory order of ``output``, which fast convolutions need."""
    assert cotangent is not None
    assert output is not None
    if output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last):
        return packed(cotangent)
    return cotangent
