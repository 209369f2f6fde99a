"""Weights and biases of all affine layers, with the batch norms after them folded in.

In eval mode a batch norm is y = s (z - μ) + β with s = γ / √(σ² + ε), so that it makes one affine
layer with the layer before it: W' = s W and b' = β + s (c - μ), c the bias before it. W' and b' are
bilinear in (γ, β) and (W, c). What is here are their tangent and its transpose, for all layers at
once in the order of :mod:`.flat_order`: on a GPU an operation on a small tensor costs its launch,
whatever its size, and a network has three small tensors a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectra.products.tangent.flat_order import AffineParts, FlatOrder
from spectra.products.tangent.reordering import JoinedWeights, Reordering


@dataclass
class Direction:
    """K vectors in parameter space as the layers take them; lists are by layer.

    Attributes:
        count: K; where it is 1, tensors have no axis for it, else it is their first.
        weights: dW', (O, ...) or (K, O, ...); None where it is zero throughout.
        biases: db', (O,) or (K, O); None where it is zero throughout.
        beside: W' and dW' joined along the input channels; None where they are not joined.
        below: the two joined along the output channels; None where they are not.
        rest: tangents of the parameters that no affine layer reads, flat.
        sections: of the flat order, by kind: tangents of W, γ, β and c.
        scales: tangent of s, one a channel, and the same for each entry of W; None where no γ is
            trained.
    """

    count: int
    weights: list[Tensor | None]
    biases: list[Tensor | None]
    beside: list[Tensor | None]
    below: list[Tensor | None]
    rest: list[Tensor]
    sections: dict[str, Tensor]
    scales: tuple[Tensor, Tensor] | None


@dataclass
class Moved:
    """Tangents of gradients as the layers leave them, by layer.

    Attributes:
        weights: terms of that of W', each (O, ...) or (K, O, ...).
        biases: that of b'.
        rest: those of the parameters that no affine layer reads.
    """

    weights: dict[int, list[Tensor]] = field(default_factory=dict)
    biases: dict[int, Tensor] = field(default_factory=dict)
    rest: list[Tensor] = field(default_factory=list)


class Folding:
    """W' and b' of every layer, and what products need of them.

    Args:
        layers: see :class:`FlatOrder`.
        shapes: of their trained parameters by name, in the order of a vector of these.
        like: a tensor of the network's device and dtype.
        channels_last: whether filters of 2-d convolutions are laid out in that memory order.
        paired: layers that read W' and dW' joined.

    Attributes:
        weights: W' of each layer.
        biases: b' of each layer, or None.
        moves_weight: whether W' of a layer depends on a trained parameter.
        moves_bias: whether b' of a layer does.
        needs_gradients: whether :meth:`unfold` reads the gradients of W' and b'.
    """

    def __init__(
        self,
        layers: Sequence[AffineParts],
        shapes: Mapping[str, torch.Size],
        *,
        like: Tensor,
        channels_last: bool,
        paired: Sequence[int],
    ) -> None:
        self.order = order = FlatOrder(layers, shapes, channels_last=channels_last)
        self.device, self.dtype = like.device, like.dtype
        kinds = [{k for k, name in parts.names.items() if name in shapes} for parts in layers]
        self.moves_weight = [bool(k & {"weight", "gamma"}) for k in kinds]
        self.moves_bias = [bool(k) and k != {"weight"} for k in kinds]
        self.needs_gradients = "gamma" in order.kinds
        self._take_constants(layers)
        self._gather = Reordering(order.gather, self.device)
        self._inverse = Reordering(order.inverse, self.device)
        self._again = [(at.to(self.device), of.to(self.device)) for at, of in order.again]
        self._zero = torch.zeros(1, dtype=self.dtype, device=self.device)
        self._in_order = sorted(range(len(layers)), key=lambda i: order.blocks[i].weights.start)
        self._joined = JoinedWeights(order, paired, self.device)

    def _take_constants(self, layers: Sequence[AffineParts]) -> None:
        order = self.order
        unscaled = torch.empty(order.num_weights, dtype=self.dtype, device=self.device)
        scale = torch.ones(order.num_channels, dtype=self.dtype, device=self.device)
        inverse, shift, beta = (torch.zeros_like(scale) for _ in range(3))
        for parts, block in zip(layers, order.blocks, strict=True):
            module, norm, at = parts.module, parts.norm, block.channels
            unscaled[block.weights] = order.flat(module.weight.detach(), block.shape)
            if module.bias is not None:
                shift[at] = module.bias.detach()
            if norm is None:
                continue
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None
            assert variance is not None
            inverse[at] = (variance + norm.eps).rsqrt()
            shift[at] -= mean
            scale[at] = inverse[at]
            if norm.affine:
                scale[at] *= norm.weight.detach()
                beta[at] = norm.bias.detach()
        self._has_norms = any(parts.norm is not None for parts in layers)
        self._unscaled, self._inverse_deviation, self._shift = unscaled, inverse, shift
        self._scale, self._folded = scale, unscaled
        if self._has_norms:  # else nothing scales a weight, and nothing of its size is held for it
            lengths = torch.empty(order.num_channels, dtype=torch.int64)
            for block in order.blocks:
                lengths[block.channels] = block.shape[1:].numel()
            channels = torch.arange(order.num_channels, dtype=torch.int32)
            self._channel = channels.repeat_interleave(lengths).to(self.device)
            self._scale_of_weight = scale.index_select(0, self._channel)
            self._folded = unscaled * self._scale_of_weight
        biases = beta + scale * shift
        self.weights = [order.view(self._folded[b.weights], b.shape) for b in order.blocks]
        self.biases: list[Tensor | None] = [
            None if parts.norm is None and parts.module.bias is None else biases[block.channels]
            for parts, block in zip(layers, order.blocks, strict=True)
        ]

    def fold(self, vectors: Tensor) -> Direction:
        """Return dW' = ds W + s dW and db' = dβ + ds (c - μ) + s dc along vectors.

        Args:
            vectors: (P,), or several, (K, P).
        """
        order, source = self.order, vectors
        if order.needs_zero:
            zero = self._zero if vectors.ndim == 1 else self._zero.expand(len(vectors), 1)
            source = torch.cat([vectors, zero], -1)
        sections = order.sections(self._gather(source))
        del source  # of a large network each vector counts, here and below
        along = sections["weight"]
        weights, scales, of_weights = along, None, None
        if self.needs_gradients:
            scales = sections["gamma"] * self._inverse_deviation
            of_weights = scales.index_select(-1, self._channel)
            weights = (along * self._scale_of_weight).addcmul_(self._unscaled, of_weights)
        elif self._has_norms:
            weights = along * self._scale_of_weight
        biases = _sum_of_products(
            sections.get("beta"), (scales, self._shift), (sections.get("bias"), self._scale)
        )
        beside, below = self._joined.join(self._folded, weights)
        return Direction(
            count=1 if vectors.ndim == 1 else len(vectors),
            weights=[
                order.view(weights[..., b.weights], b.shape) if moves else None
                for b, moves in zip(order.blocks, self.moves_weight, strict=True)
            ],
            biases=[
                biases[..., b.channels] if moves and biases is not None else None
                for b, moves in zip(order.blocks, self.moves_bias, strict=True)
            ],
            beside=beside,
            below=below,
            rest=[],
            sections=sections,
            scales=None if scales is None or of_weights is None else (scales, of_weights),
        )

    def still(self) -> Direction:
        """Return the direction that moves nothing."""
        none: list[Tensor | None] = [None] * len(self.weights)
        return Direction(1, none, none, none, none, rest=[], sections={}, scales=None)

    def collect(
        self, weights: Mapping[int, Tensor], biases: Mapping[int, Tensor], count: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return what layers have of weights and biases in flat order, zeros where they have none.

        Args:
            weights: by layer, (O, ...) or (K, O, ...).
            biases: by layer, (O,) or (K, O).
            count: K.
        """
        lead = () if count == 1 else (count,)
        nothing = self._zero.expand(*lead, 1)[..., :0]  # there may be no layer
        flat, channels = [nothing], [nothing]
        for i in self._in_order:
            block = self.order.blocks[i]
            weight, bias = weights.get(i), biases.get(i)
            flat.append(
                self._zero.expand(*lead, block.shape.numel())
                if weight is None
                else self.order.flat(weight, block.shape)
            )
            channels.append(self._zero.expand(*lead, block.shape[0]) if bias is None else bias)
        return torch.cat(flat, -1), torch.cat(channels, -1)

    def unfold(
        self, direction: Direction, moved: Moved, known: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Return the tangents of the parameters' gradients, (P,) or (K, P), by the product rule.

        Args:
            direction: of the product.
            moved: tangents of the gradients of W' and b'; it is emptied.
            known: the gradients of W' and b' in flat order; None where they are not read, or for a
                direction that moves nothing.
        """
        order, count = self.order, direction.count
        terms = [
            {i: found[k] for i, found in moved.weights.items() if len(found) > k} for k in (0, 1)
        ]
        moved.weights.clear()
        of_weights, of_biases = self.collect(terms.pop(0), moved.biases, count)
        if terms[0]:
            of_weights += self.collect(terms.pop(), {}, count)[0]
        sections = {"weight": of_weights, "beta": of_biases, "bias": of_biases}
        if self._has_norms:
            sections["weight"] = of_weights * self._scale_of_weight
        if "bias" in order.kinds:
            sections["bias"] = of_biases * self._scale
        if known is not None and direction.scales is not None:
            gradient, bias_gradient = known
            along, (scales, scales_of_weights) = direction.sections, direction.scales
            sections["weight"].addcmul_(gradient, scales_of_weights)
            of_weights.mul_(self._unscaled).addcmul_(gradient, along["weight"])
            gamma = self._sum_filters(of_weights).addcmul(of_biases, self._shift)
            if "bias" in order.kinds:
                gamma = gamma.addcmul(along["bias"], bias_gradient)
                sections["bias"] = sections["bias"].addcmul(bias_gradient, scales)
            sections["gamma"] = gamma * self._inverse_deviation
        elif self.needs_gradients:
            gamma = self._sum_filters(of_weights.mul_(self._unscaled))
            sections["gamma"] = gamma.addcmul(of_biases, self._shift) * self._inverse_deviation
        del of_weights
        flat = torch.cat([sections[kind] for kind in order.kinds], -1)
        found = self._inverse(flat)
        for entries, places in self._again:
            found.index_add_(-1, entries, flat.index_select(-1, places))
        return found

    def second_derivative(self, direction: Direction, known: tuple[Tensor, Tensor]) -> Tensor:
        """Return the terms, (K, ...), of <gradients, d²/dt²> of W' and b' along vectors.

        Args:
            direction: of the product.
            known: the gradients of W' and b' in flat order.
        """
        along = direction.sections
        assert direction.scales is not None
        scales, of_weights = direction.scales
        terms = [2 * known[0] * of_weights * along["weight"]]
        if "bias" in along:
            terms.append(2 * known[1] * scales * along["bias"])
        return torch.cat(terms, -1).reshape(direction.count, -1)

    def _sum_filters(self, flat: Tensor) -> Tensor:
        """Return the sum over each filter, one a channel."""
        lead = flat.shape[:-1]
        return torch.cat(
            [
                flat[..., group.weights].view(*lead, -1, group.length).sum(-1)
                for group in self.order.groups
            ],
            -1,
        )


def _sum_of_products(
    first: Tensor | None, *pairs: tuple[Tensor | None, Tensor | None]
) -> Tensor | None:
    """Return ``first`` and the products of the pairs added up; None where there are none."""
    result = first
    for a, b in pairs:
        if a is not None and b is not None:
            result = a * b if result is None else torch.addcmul(result, a, b)
    return result
