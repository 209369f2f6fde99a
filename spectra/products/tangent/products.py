"""Products by a tangent pass over layers whose primal work was done once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spectra.objective.kept_tensors import storages_of
from spectra.objective.per_sample import PerSampleLoss
from spectra.products.interface import ChunkHessian, Products
from spectra.products.layers.from_graph import Fixed
from spectra.products.layers.interface import (
    Saved,
    accumulate,
    in_order_of,
    inner,
    packed,
    sums_of,
)
from spectra.products.reading.trace import Trace
from spectra.products.tangent.affine import Affine
from spectra.products.tangent.convolution import Convolution
from spectra.products.tangent.folding import Direction, Folding, Moved
from spectra.products.tangent.rest import Rest
from spectra.products.tangent.unfolded import Unfolded, is_worth_leaving
from spectra.products.tangent.vector_parts import VectorParts
from spectra.products.tuning import DEFAULT, Tuning


class TangentProducts(Products):
    """Products of a network that :func:`spectra.products.reading.read.read` can read.

    Work on a chunk: 3 forward units once (values, cotangents, gradients of folded layers), 6 for
    each product. What comes after the layers, the loss included, is small, see :mod:`.rest`.

    Args:
        model: in eval mode.
        traced: its layers.
        loss: per-sample.
        tuning: the memory order of images and activations.
    """

    name = "tangent"
    stacks, derives_twice = True, True

    def __init__(
        self, model: nn.Module, traced: Trace, loss: PerSampleLoss, tuning: Tuning = DEFAULT
    ) -> None:
        super().__init__(model)
        self.trace, self.loss, self.memory_format = traced, loss, tuning.memory_format
        # Matrix products of small fully connected nets share torch's own threads.
        convolves = any(isinstance(s.layer, Convolution) for s in traced.steps)
        self.on_many_cores = convolves and not traced.calls_modules
        affine = [s for s in traced.steps if isinstance(s.layer, Affine)]
        layers = [s.layer for s in affine if isinstance(s.layer, Affine)]
        shapes = {n: p.shape for n, p in self.trained.items()}
        # Values that depend on a parameter: only they have tangents and cotangents.
        self.moving: set[str] = set(traced.parameters)
        self.last_use: dict[str, int] = {}
        for i, step in enumerate(traced.steps):
            own = isinstance(step.layer, Affine) and step.layer.parts.names
            if not isinstance(step.layer, Fixed) and (own or self.moving & set(step.inputs)):
                self.moving.add(step.output)
            for name in step.inputs:
                self.last_use[name] = i
        self.own = {value: self.trained[name] for value, name in traced.parameters.items()}
        self.leaves = [self.trained[name] for name in traced.rest_names]
        read = {name for layer in layers for name in layer.parts.names.values()}
        loose = [*traced.parameters.values(), *traced.rest_names]
        self.moves_only_layers = not loose
        parts, like = [layer.parts for layer in layers], next(iter(self.trained.values()))
        read_shapes = {name: shape for name, shape in shapes.items() if name in read}
        self.folding: Any  # a Folding, or what stands for one
        joined = not is_worth_leaving(parts, like.device)
        self.vector_parts = VectorParts(shapes, read, loose, joined=joined)
        self.folds_norms = any(layer.norm is not None for layer in parts)
        if not joined:
            self.folding = Unfolded(parts, read_shapes)
        else:
            self.folding = Folding(
                parts,
                read_shapes,
                like=like,
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
        part, loose = self.vector_parts.take(vectors)
        return replace(self.folding.fold(part), rest=loose)

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
        values: dict[str, Any] = {trace.batch: images, **trace.constants}
        if isinstance(images, Tensor):
            values[trace.batch] = products.packed(images)
        values |= {name: parameter.detach() for name, parameter in products.own.items()}
        self.saved: list[Saved] = []
        with torch.no_grad():
            for i, step in enumerate(trace.steps):
                inputs = tuple(values[name] for name in step.inputs)
                output = step.layer.value(*inputs)
                if isinstance(step.layer, Fixed) and isinstance(output, Tensor):
                    output = _widened(output, weights.dtype)
                self.saved.append(Saved(inputs, output))
                values[step.output] = output
                for name in set(step.inputs):
                    if products.last_use[name] == i:
                        del values[name]
        self.rest = Rest(
            values[trace.features],
            trace.rest,
            products.leaves,
            lambda outputs: (weights * products.loss(outputs, labels)).sum(),
        )
        self._pull()

    @torch.no_grad()
    def _pull(self) -> None:
        """Take the cotangents back through the layers."""
        products = self.products
        trace, moving = products.trace, products.moving
        cotangents: dict[str, Tensor | None] = {trace.features: self.rest.slope}
        weights: dict[int, Tensor] = {}
        biases: dict[int, Tensor] = {}
        for step, saved in zip(reversed(trace.steps), reversed(self.saved), strict=True):
            if step.output not in moving:
                saved.keep(frozenset())
                continue
            saved.delta = in_order_of(cotangents.pop(step.output, None), saved.output)
            unread = products.own if step.layer.keeps_the_same else {}
            wanted = [name in moving and name not in unread for name in step.inputs]
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
        tangent, count = self.tangent_of_features(direction), direction.count
        along = direction.rest[len(self.products.own) :]
        d_delta, found.rest = self.rest.products(tangent, along, count)
        d_delta = self.products.packed(d_delta)
        return self.pulled_back(d_delta, direction, found, self.gradients)

    @torch.no_grad()
    def second_derivatives(self, direction: Direction, *, by_image: bool = False) -> Tensor:
        """Return d²/dt² of Σ_i w_i ℓ_i along each vector, and the sizes of its terms, (2, K); or of
        each w_i ℓ_i, (2, K n), where the network tells images apart.

        Cost: 3 forward units a vector; 4 by image where norms are folded.
        """
        products, count = self.products, direction.count
        each = len(self.rest.features) if by_image else 1
        features = self.tangent_of_features(direction)
        along = direction.rest[len(products.own) :]
        d_delta, of_rest = self.rest.products(features, along, count)
        found = [inner(pair, count) for pair in zip(along, of_rest, strict=True)]
        if features is not None:
            found.append(inner((features, d_delta), count * each))
        for step, saved in zip(products.trace.steps, self.saved, strict=True):
            if step.output in products.moving:
                wanted = [name in products.moving for name in step.inputs]
                bent = step.layer.second_derivative(saved, direction, wanted, each)
                found += [] if bent is None else [bent]
        self.let_go_of_tangents()
        if self.gradients is not None and direction.scales is not None and each == 1:
            found.append(sums_of(products.folding.second_derivative(direction, self.gradients)))
        nothing = torch.zeros(2, count * each, dtype=torch.float64, device=d_delta.device)
        return sum(found, nothing)

    @torch.no_grad()
    def tangent_of_features(self, direction: Direction) -> Tensor | None:
        """Return the tangent of what the rest reads; each layer has those of its inputs then."""
        trace, moving = self.products.trace, self.products.moving
        tangents: dict[str, Tensor | None] = dict.fromkeys((trace.batch, *trace.constants))
        tangents |= self._parameter_tangents(direction)
        for i, (step, saved) in enumerate(zip(trace.steps, self.saved, strict=True)):
            saved.input_tangents = tuple(tangents[name] for name in step.inputs)
            moved = step.output in moving
            tangents[step.output] = step.layer.tangent(saved, direction) if moved else None
            for name in set(step.inputs):
                if self.products.last_use[name] == i:
                    del tangents[name]
        return tangents[trace.features]

    def _parameter_tangents(self, direction: Direction) -> dict[str, Tensor | None]:
        """Return the tangents of the values that are parameters, one direction below the other."""
        own = self.products.own
        if not direction.rest:
            return dict.fromkeys(own)
        return {
            name: piece.view_as(p) if direction.count == 1 else piece.reshape(-1, *p.shape[1:])
            for (name, p), piece in zip(own.items(), direction.rest, strict=False)
        }

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
                saved, cotangents.pop(step.output, None), direction, found, wanted
            )
            saved.input_tangents = ()
            accumulate(cotangents, step.inputs, pulled, wanted)
        shape = (-1,) if direction.count == 1 else (direction.count, -1)
        own = []
        for name, parameter in self.products.own.items():
            moved = cotangents.get(name)
            if moved is None:
                moved = parameter.new_zeros(direction.count * parameter.numel())
            own.append(moved.reshape(shape))
        found.rest = own + found.rest
        part = self.products.folding.unfold(direction, found, gradients)
        return self.products.vector_parts.put(part, found.rest)

    @torch.no_grad()
    def gradient(self) -> Tensor:
        """Return the gradient of Σ w_i ℓ_i, where no parameter but the layers' is trained."""
        moved = Moved()
        for step, saved in zip(self.products.trace.steps, self.saved, strict=True):
            if isinstance(step.layer, Affine) and step.output in self.products.moving:
                step.layer.put_gradients(saved, self.gradients, moved)
        part = self.products.folding.unfold(self.products.folding.still(), moved, None)
        return self.products.vector_parts.put(part, [])

    def let_go_of_tangents(self) -> None:
        """Have no layer hold a tangent of its inputs."""
        for step, saved in zip(self.products.trace.steps, self.saved, strict=True):
            saved.input_tangents = (None,) * len(step.inputs)
            if saved.graph is not None:
                saved.graph.bent = []

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that are kept."""
        kept = [t for saved in self.saved for t in saved.tensors]
        bends = self.rest.bends
        storages: dict[int, int] = {}
        for t in (*kept, *(self.gradients or ()), *([] if bends is None else [bends])):
            storages |= storages_of(t)
        for tensor in (*self.products.own.values(), *self.products.trace.constants.values()):
            if isinstance(tensor, Tensor):  # the network's own, which is there anyway
                for address in storages_of(tensor):
                    storages.pop(address, None)
        graphs = sum(saved.graph.nbytes for saved in self.saved if saved.graph is not None)
        return graphs + sum(storages.values())


def _widened(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return real numbers in ``dtype`` at least: what torch makes of integers is float32."""
    wider = value.is_floating_point() and torch.promote_types(value.dtype, dtype) != value.dtype
    return value.to(dtype) if wider else value
