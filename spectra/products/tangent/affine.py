"""Affine layers, the batch norm after them folded in: what they share, and linear layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spectra.products.layers.interface import Layer, Saved, inner
from spectra.products.tangent.flat_order import AffineParts
from spectra.products.tangent.folding import Direction, Moved


class TwoTerms(NamedTuple):
    """The two terms of a product rule: ``weight`` is applied to ``value``, ``other`` to ``second``.

    ``joined`` are both weights along one axis, in one piece of memory; None where they are not.
    """

    value: Tensor
    weight: Tensor
    second: Tensor
    other: Tensor
    joined: Tensor | None


class Affine(Layer):
    """y = W' ∗ x + b', a convolution or a linear layer with what :mod:`.folding` makes of it.

    Args:
        parts: the layer as it stands in the network.
    """

    keeps = frozenset({"inputs", "delta"})
    # Whether it reads W' and dW' joined.
    joins = False
    # The axis of the output's channels.
    channels = 1

    def __init__(self, parts: AffineParts) -> None:
        self.parts = parts

    def attach(self, folding: Any, place: int) -> None:
        """Take W' and b' from a folding, in which this is the layer number ``place``."""
        self.place, self.folding = place, folding
        self.weight, self.bias = folding.weights[place], folding.biases[place]
        self.moves_weight, self.moves_bias = folding.moves_weight[place], folding.moves_bias[place]
        self.keeps_gradients = folding.needs_gradients and self.parts.norm is not None

    @abstractmethod
    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return weight ∗ x + bias."""

    @abstractmethod
    def apply_pair(self, terms: TwoTerms, bias: Tensor | None) -> Tensor:
        """Return weight ∗ value + other ∗ second + bias; joined along the input channels."""

    @abstractmethod
    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return weightᵀ δ, the cotangent of x."""

    @abstractmethod
    def pulled_pair(self, terms: TwoTerms, x: Tensor) -> Tensor:
        """Return weightᵀ value + otherᵀ second, of the shape of x; joined along the outputs'."""

    @abstractmethod
    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of the weight, δ xᵀ summed over images and places."""

    # Of K directions at once, tangents (K n, ...) beside values (n, ...). One by one unless a
    # layer knows better.

    def apply_each(self, x: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
        """Return weight_k ∗ x + bias_k, (K, n, ...), for weights (K, O, ...)."""
        each = biases if biases is not None else [None] * len(weights)
        return torch.stack([self.apply(x, w, b) for w, b in zip(weights, each, strict=True)])

    def pulled_each(self, delta: Tensor, x: Tensor, weights: Tensor) -> Tensor:
        """Return weight_kᵀ δ, (K, n, ...)."""
        return torch.stack([self.pulled(delta, x, w) for w in weights])

    def gradients(self, deltas: Tensor, x: Tensor) -> Tensor:
        """Return the gradients (K, O, ...) of δ_k, (K n, ...), and one x."""
        return torch.stack([self.gradient(d, x) for d in deltas.split(len(x))])

    def gradients_along(self, delta: Tensor, xs: Tensor) -> Tensor:
        """Return the gradients (K, O, ...) of one δ and x_k, (K n, ...)."""
        return torch.stack([self.gradient(delta, x) for x in xs.split(len(delta))])

    def bias_gradient(self, delta: Tensor, count: int = 1) -> Tensor:
        """Return δ summed over images and places, (O,), or (K, O) of K δ."""
        channels = self.channels % delta.ndim
        if count > 1:
            delta, channels = delta.unflatten(0, (count, -1)), channels + 1
        summed = [i for i in range(count > 1, delta.ndim) if i != channels]
        return delta.sum(summed) if summed else delta

    def value(self, *inputs: Tensor) -> Tensor:
        """Return W' ∗ x + b'."""
        return self.apply(inputs[0], self.weight, self.bias)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangent of x; keep the gradients of W' and b', which unfolding needs."""
        (x,), delta = saved.inputs, saved.cotangent
        if self.keeps_gradients:
            saved.extra["weight"] = self.gradient(delta, x)
            saved.extra["bias"] = self.bias_gradient(delta)
        return [self.pulled(delta, x, self.weight) if wanted[0] else None]

    def put_gradients(
        self, saved: Saved, known: tuple[Tensor, Tensor] | None, moved: Moved
    ) -> None:
        """Put the gradients of W' and b' into ``moved``; ``known`` are those that were kept."""
        if self.keeps_gradients and known is not None:
            block = self.folding.order.blocks[self.place]
            weight = self.folding.order.view(known[0][block.weights], block.shape)
            bias = known[1][block.channels]
        else:
            weight = self.gradient(saved.cotangent, saved.inputs[0])
            bias = self.bias_gradient(saved.cotangent)
        if self.moves_weight:
            moved.weights[self.place] = [weight]
        if self.moves_bias or self.moves_weight:
            moved.biases[self.place] = bias

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return W' ∗ dx + dW' ∗ x + db'."""
        (x,), (dx,) = saved.inputs, saved.input_tangents
        d_weight, d_bias = direction.weights[self.place], direction.biases[self.place]
        if direction.count > 1:
            return self._tangents(saved, d_weight, d_bias)
        if d_weight is not None and dx is not None:
            joined = direction.beside[self.place]
            return self.apply_pair(TwoTerms(dx, self.weight, x, d_weight, joined), d_bias)
        if d_weight is not None:
            return self.apply(x, d_weight, d_bias)
        if dx is not None:
            return self.apply(dx, self.weight, d_bias)
        return None if d_bias is None else self._spread(d_bias, saved.cotangent)

    def _spread(self, bias: Tensor, like: Tensor) -> Tensor:
        """Return one value a channel in the shape of ``like``."""
        shape = [1] * like.ndim
        shape[self.channels] = -1
        return bias.view(shape).expand_as(like)

    def _tangents(
        self, saved: Saved, d_weight: Tensor | None, d_bias: Tensor | None
    ) -> Tensor | None:
        """Return :meth:`tangent` of several directions, (K n, ...)."""
        (x,), (dx,) = saved.inputs, saved.input_tangents
        found = None if dx is None else self.apply(dx, self.weight, None)
        n = len(x)
        if d_weight is not None:
            own = self.apply_each(x, d_weight, d_bias)
            if found is None:
                return own.flatten(0, 1)
            return (found.unflatten(0, (-1, n)) + own).flatten(0, 1)
        if d_bias is None:
            return found
        spread = torch.stack([self._spread(b, saved.cotangent) for b in d_bias])
        if found is None:
            return spread.flatten(0, 1)
        return (found.unflatten(0, (-1, n)) + spread).flatten(0, 1)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return d(W'ᵀ δ) = W'ᵀ dδ + dW'ᵀ δ; the gradients' by the product rule."""
        (x,), (dx,), delta = saved.inputs, saved.input_tangents, saved.cotangent
        place, count = self.place, direction.count
        several = count > 1
        if self.moves_weight:
            terms = []
            if d_delta is not None:
                terms.append((self.gradients if several else self.gradient)(d_delta, x))
            if dx is not None:
                terms.append((self.gradients_along if several else self.gradient)(delta, dx))
            moved.weights[place] = terms
        if d_delta is not None and (self.moves_bias or self.moves_weight):
            moved.biases[place] = self.bias_gradient(d_delta, count)
        if not wanted[0]:
            return [None]
        d_weight = direction.weights[place]
        if several:
            return [self._pulled(d_delta, delta, x, d_weight)]
        if d_delta is not None and d_weight is not None:
            joined = direction.below[place]
            pair = TwoTerms(d_delta, self.weight, delta, d_weight, joined)
            return [self.pulled_pair(pair, x)]
        if d_delta is not None:
            return [self.pulled(d_delta, x, self.weight)]
        return [None if d_weight is None else self.pulled(delta, x, d_weight)]

    def second_derivative(
        self, saved: Saved, direction: Direction, wanted: Sequence[bool], each: int = 1
    ) -> Tensor | None:
        """Return 2 <δ, dW' ∗ dx>, and where images are told apart, <δ, d²W' ∗ x + d²b'> too."""
        bent = self._bent(saved, direction, each) if each > 1 else None
        (x,), (dx,), d_weight = saved.inputs, saved.input_tangents, direction.weights[self.place]
        if dx is None or d_weight is None:
            return bent
        pairs = [(dx, d_weight)]
        if direction.count > 1:
            pairs = list(zip(dx.split(len(x)), d_weight, strict=True))
        moved = [self.apply(d, w, None) for d, w in pairs]
        found = 2 * torch.cat([inner((m, saved.cotangent), each) for m in moved], 1)
        return found if bent is None else found + bent

    def _bent(self, saved: Saved, direction: Direction, each: int) -> Tensor | None:
        """Return <δ, d²W' ∗ x + d²b'> by image: W' and b' are bilinear in a norm and this layer."""
        if direction.scales is None or self.parts.norm is None:
            return None
        along, (scales, of_weights) = direction.sections, direction.scales
        block, as_weight = self.folding.order.blocks[self.place], self.folding.order.view
        at, channels = block.weights, block.channels
        weight = 2 * of_weights[..., at] * along["weight"][..., at]
        bias = None
        if "bias" in along:
            bias = 2 * scales[..., channels] * along["bias"][..., channels]
        if direction.count == 1:
            weight, bias = weight[None], None if bias is None else bias[None]
        moved = [
            self.apply(saved.inputs[0], as_weight(w, block.shape), b)
            for w, b in zip(weight, bias if bias is not None else [None] * len(weight), strict=True)
        ]
        return torch.cat([inner((m, saved.cotangent), each) for m in moved], 1)

    def _pulled(
        self, d_delta: Tensor | None, delta: Tensor, x: Tensor, d_weight: Tensor | None
    ) -> Tensor | None:
        """Return W'ᵀ dδ_k + dW'_kᵀ δ, (K n, ...)."""
        found = None
        if d_delta is not None:
            inputs = x.new_empty((len(d_delta), *x.shape[1:]))
            found = self.pulled(d_delta, inputs, self.weight)
        if d_weight is None:
            return found
        own = self.pulled_each(delta, x, d_weight)
        if found is None:
            return own.flatten(0, 1)
        return (found.unflatten(0, (-1, len(x))) + own).flatten(0, 1)


class LinearLayer(Affine):
    """A linear layer on (n, ..., features)."""

    channels = -1

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x weightᵀ + bias."""
        return F.linear(x, weight, bias)

    def apply_pair(self, terms: TwoTerms, bias: Tensor | None) -> Tensor:
        """Return value weightᵀ + second otherᵀ + bias."""
        found = F.linear(terms.value, terms.weight, bias)
        _rows(found).addmm_(_rows(terms.second), terms.other.T)
        return found

    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return δ weight."""
        return delta @ weight

    def pulled_pair(self, terms: TwoTerms, x: Tensor) -> Tensor:
        """Return value weight + second other."""
        found = terms.value @ terms.weight
        _rows(found).addmm_(_rows(terms.second), terms.other)
        return found

    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return δᵀ x."""
        return _rows(delta).T @ _rows(x)


def _rows(values: Tensor) -> Tensor:
    """Return (n, ..., features) as rows, (N, features)."""
    return values if values.ndim == 2 else values.reshape(-1, values.shape[-1])
