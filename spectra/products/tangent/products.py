"""Products by a tangent pass over layers whose primal work was done once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spectra.objective.per_sample import PerSampleLoss
from spectra.products.interface import ChunkHessian, Products
from spectra.products.layers.interface import Saved, accumulate, in_order_of, packed
from spectra.products.tangent.affine import Affine
from spectra.products.tangent.convolution import Convolution
from spectra.products.tangent.folding import Direction, Folding, Moved
from spectra.products.tangent.trace import Trace
from spectra.products.tuning import DEFAULT, Tuning
from spectra.system.allocator import out_of_memory

# Ours: for so many outputs at most the loss's second derivatives are written out: 1,024 numbers an
# image, fewer than an activation of a CIFAR network has. They cost as many passes through the loss
# as there are outputs, batched in one.
MOST_OUTPUTS = 32


class TangentProducts(Products):
    """Products of a network that :func:`spectra.products.tangent.trace.trace` can read.

    Work on a chunk: 3 forward units once (values, cotangents, gradients of folded layers), 6 for
    each product. What comes after the traced layers, the loss included, is small. Where it has no
    parameters and few outputs, its second derivatives are written out for each image, C² numbers;
    else it goes through a kept graph of double backward.

    Args:
        model: in eval mode.
        traced: its layers.
        loss: per-sample.
        tuning: the memory order of images and activations.
    """

    name = "tangent"
    stacks = True

    def __init__(
        self, model: nn.Module, traced: Trace, loss: PerSampleLoss, tuning: Tuning = DEFAULT
    ) -> None:
        super().__init__(model)
        self.trace, self.loss, self.memory_format = traced, loss, tuning.memory_format
        # Matrix products of small fully connected nets share torch's own threads.
        self.on_many_cores = any(isinstance(s.layer, Convolution) for s in traced.steps)
        affine = [s for s in traced.steps if isinstance(s.layer, Affine)]
        layers = [s.layer for s in affine if isinstance(s.layer, Affine)]
        shapes = {n: p.shape for n, p in self.trained.items()}
        # Values that depend on a parameter: only they have tangents and cotangents.
        self.moving: set[str] = set()
        self.last_use: dict[str, int] = {}
        for i, step in enumerate(traced.steps):
            own = isinstance(step.layer, Affine) and step.layer.parts.names
            if own or self.moving & set(step.inputs):
                self.moving.add(step.output)
            for name in step.inputs:
                self.last_use[name] = i
        self.rest_names = [name for name in traced.rest_names if name in shapes]
        self.folding = Folding(
            [layer.parts for layer in layers],
            shapes,
            self.rest_names,
            channels_last=tuning.channels_last,
            paired=[
                i
                for i, (step, layer) in enumerate(zip(affine, layers, strict=True))
                if layer.joins and set(step.inputs) <= self.moving
            ],
        )
        for place, layer in enumerate(layers):
            layer.attach(self.folding, place)

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> TangentChunk:
        """Do the primal work on one chunk."""
        return TangentChunk(self, images, labels, weights)

    @torch.no_grad()
    def direction(self, vectors: Tensor) -> Direction:
        """Fold vectors (P,) or (K, P)."""
        return self.folding.fold(vectors)

    def packed(self, values: Tensor) -> Tensor:
        """Return ``values`` in the memory order chosen."""
        return packed(values, self.memory_format)


class TangentChunk(ChunkHessian):
    """One chunk of images, its values and cotangents at hand."""

    def __init__(
        self, products: TangentProducts, images: Tensor, labels: Tensor, weights: Tensor
    ) -> None:
        self.products = products
        trace = products.trace
        values, self.saved = {trace.image: products.packed(images)}, []
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
        self.leaves = [known[name] for name in self.products.rest_names]
        with torch.enable_grad():
            # In the order that the network itself would see: a view may depend on it.
            self.features = features.detach().contiguous().requires_grad_()
            outputs = trace.rest(self.features)
            loss = (weights * self.products.loss(outputs, labels)).sum()
            self.rest_gradients = torch.autograd.grad(
                loss, [self.features, *self.leaves], create_graph=True, materialize_grads=True
            )
        self.bends = self._bends()
        if self.bends is not None:  # of the graph nothing more is asked
            self.rest_gradients = (self.rest_gradients[0].detach(),)

    @torch.enable_grad()
    def _bends(self) -> Tensor | None:
        """Return w_i ∇²ℓ_i by the features, (n, C, C), where they are the few outputs; else None.

        A product with them is one operation, where a pass through the graph takes some thirty. It
        is from them whether work is kept or not, for its bytes are not to depend on memory.
        """
        slope = self.rest_gradients[0]
        if self.leaves or slope.ndim != 2 or slope.shape[1] > MOST_OUTPUTS:
            return None
        if not slope.requires_grad:
            return slope.new_zeros((*slope.shape, slope.shape[1]))
        n, count = slope.shape
        # An image's slope depends on its own features alone: images need not be told apart.
        rows = torch.eye(count, dtype=slope.dtype, device=slope.device)
        try:
            (found,) = torch.autograd.grad(
                slope,
                self.features,
                rows[:, None].expand(count, n, count),
                is_grads_batched=True,
                materialize_grads=True,
            )
        except RuntimeError as error:  # a stranger's loss that cannot be batched
            if out_of_memory(error):
                raise
            return None
        return found.transpose(0, 1)

    @torch.no_grad()
    def _pull(self) -> None:
        """Take the cotangents back through the layers."""
        products = self.products
        trace, moving = products.trace, products.moving
        cotangents: dict[str, Tensor | None] = {trace.features: self.rest_gradients[0].detach()}
        weights: dict[int, Tensor] = {}
        biases: dict[int, Tensor] = {}
        for step, saved in zip(reversed(trace.steps), reversed(self.saved), strict=True):
            if step.output not in moving:
                saved.keep(frozenset())
                continue
            saved.delta = in_order_of(cotangents.pop(step.output), saved.output)
            wanted = [name in moving for name in step.inputs]
            pulled = step.layer.pull(saved, wanted)
            accumulate(cotangents, step.inputs, pulled, wanted)
            if isinstance(step.layer, Affine) and step.layer.keeps_gradients:
                weights[step.layer.place] = saved.extra.pop("weight")
                biases[step.layer.place] = saved.extra.pop("bias")
            saved.keep(step.layer.keeps)
        self.gradients = products.folding.collect(weights, biases) if weights else None

    @torch.no_grad()
    def product(self, direction: Direction) -> Tensor:
        """Return Σ_i w_i ∇²ℓ_i v over the chunk, (P,), or (K, P) for several v.

        Cost: 6 forward units a vector.
        """
        found = Moved()
        d_delta = self._rest_product(self.tangent_of_features(direction), direction, found)
        return self.pulled_back(d_delta, direction, found, self.gradients)

    @torch.no_grad()
    def tangent_of_features(self, direction: Direction) -> Tensor | None:
        """Return the tangent of what the rest reads; each layer has those of its inputs then."""
        trace, moving = self.products.trace, self.products.moving
        tangents: dict[str, Tensor | None] = {trace.image: None}
        for i, (step, saved) in enumerate(zip(trace.steps, self.saved, strict=True)):
            saved.input_tangents = tuple(tangents[name] for name in step.inputs)
            moved = step.output in moving
            tangents[step.output] = step.layer.tangent(saved, direction) if moved else None
            for name in step.inputs:
                if self.products.last_use[name] == i:
                    del tangents[name]
        return tangents[trace.features]

    def pulled_back(
        self,
        d_delta: Tensor,
        direction: Direction,
        found: Moved,
        gradients: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Return the tangents of the parameters' gradients, from that of the features' cotangent.

        Along the direction that moves nothing it is the plain backward pass of ``d_delta``.
        """
        trace, moving = self.products.trace, self.products.moving
        cotangents: dict[str, Tensor | None] = {trace.features: d_delta}
        for step, saved in zip(reversed(trace.steps), reversed(self.saved), strict=True):
            if step.output not in moving:
                continue
            wanted = [name in moving for name in step.inputs]
            pulled = step.layer.pull_tangent(
                saved, cotangents.pop(step.output), direction, found, wanted
            )
            saved.input_tangents = ()
            accumulate(cotangents, step.inputs, pulled, wanted)
        return self.products.folding.unfold(direction, found, gradients)

    def let_go_of_tangents(self) -> None:
        """Have no layer hold a tangent of its inputs."""
        for step, saved in zip(self.products.trace.steps, self.saved, strict=True):
            saved.input_tangents = (None,) * len(step.inputs)

    def _rest_product(self, tangent: Tensor | None, direction: Direction, found: Moved) -> Tensor:
        """Return the tangent of the features' cotangent; the rest's Hessian is symmetric."""
        count, n = direction.count, len(self.features)
        if self.bends is not None:
            if tangent is None:
                return torch.zeros_like(self.features).repeat(count, 1)
            stacked = tangent.view(count, n, -1)
            return torch.einsum("ncd,knd->knc", self.bends, stacked).flatten(0, 1)
        if count == 1:
            d_delta, *found.rest = self._rest_alone(tangent, direction.rest)
            return self.products.packed(d_delta)
        each = [
            self._rest_alone(
                None if tangent is None else tangent[k * n : (k + 1) * n],
                [r[k] for r in direction.rest],
            )
            for k in range(count)
        ]
        d_delta, *found.rest = (torch.stack(parts) for parts in zip(*each, strict=True))
        return self.products.packed(d_delta.flatten(0, 1))

    def _rest_alone(self, tangent: Tensor | None, along: list[Tensor]) -> list[Tensor]:
        """Return tangents of the cotangent of the features, and of the gradients, flat."""
        leaves = [self.features, *self.leaves]
        moves = [tangent, *(v.view_as(p) for v, p in zip(along, self.leaves, strict=True))]
        pairs = [
            (g, d)
            for g, d in zip(self.rest_gradients, moves, strict=True)
            if d is not None and g.requires_grad
        ]
        if not pairs:
            moved = tuple(torch.zeros_like(leaf) for leaf in leaves)
        else:
            moved = torch.autograd.grad(
                [g for g, _ in pairs],
                leaves,
                [d for _, d in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
        return [moved[0], *(m.reshape(-1) for m in moved[1:])]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are kept."""
        kept = [t for saved in self.saved for t in saved.tensors]
        storages = {
            t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
            for t in (*kept, *(self.gradients or ()), *([] if self.bends is None else [self.bends]))
        }
        return sum(storages.values())
