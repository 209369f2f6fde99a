"""Weights and biases of affine layers where nothing is folded into them: as they lie there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from spectra.products.tangent.flat_order import AffineParts
from spectra.products.tangent.folding import Direction, Moved
from spectra.products.tangent.reordering import LARGEST_PAIRED


def is_worth_leaving(layers: Sequence[AffineParts], device: torch.device) -> bool:
    """Say whether layers are to be left as they lie: of a large network without batch norms.

    Their weights in another order are one more copy of the network, and each direction and each
    product takes two of its own. On a card, where a launch for each layer counts, they have it.
    """
    if device.type != "cpu" or any(parts.norm is not None for parts in layers):
        return False
    return sum(parts.module.weight.numel() for parts in layers) > LARGEST_PAIRED


class Unfolded:
    """What :class:`spectra.products.tangent.folding.Folding` is, without a copy of any weight.

    Vectors are taken and given as their parts, one a parameter.

    Args:
        layers: none of them with a batch norm.
        shapes: of their trained parameters by name, in the order of a vector of these.

    Attributes:
        weights: W of each layer.
        biases: b of each layer, or None.
        moves_weight: whether W of a layer is trained.
        moves_bias: whether b of a layer is, or W, as in a folding.
        needs_gradients: nothing reads those of W and b.
    """

    needs_gradients = False

    def __init__(self, layers: Sequence[AffineParts], shapes: Mapping[str, torch.Size]) -> None:
        self._shapes = list(shapes.values())
        places = {name: k for k, name in enumerate(shapes)}
        self._weight_places = [places.get(parts.names.get("weight", "")) for parts in layers]
        self._bias_places = [places.get(parts.names.get("bias", "")) for parts in layers]
        self.weights = [parts.module.weight.detach() for parts in layers]
        self.biases: list[Tensor | None] = [
            None if parts.module.bias is None else parts.module.bias.detach() for parts in layers
        ]
        self.moves_weight = [place is not None for place in self._weight_places]
        self.moves_bias = [place is not None for place in self._bias_places]

    def fold(self, parts: Sequence[Tensor]) -> Direction:
        """Return the direction of a vector's parts, (p,), or of several vectors', (K, p)."""
        lead = parts[0].shape[:-1] if parts else torch.Size()
        along = [part.view(lead + shape) for part, shape in zip(parts, self._shapes, strict=True)]
        none: list[Tensor | None] = [None] * len(self.weights)
        return Direction(
            count=lead[0] if lead else 1,
            weights=[None if place is None else along[place] for place in self._weight_places],
            biases=[None if place is None else along[place] for place in self._bias_places],
            beside=none,
            below=none,
            rest=[],
            sections={},
            scales=None,
        )

    def still(self) -> Direction:
        """Return the direction that moves nothing."""
        none: list[Tensor | None] = [None] * len(self.weights)
        return Direction(1, none, none, none, none, rest=[], sections={}, scales=None)

    def unfold(self, direction: Direction, moved: Moved, known: None) -> list[Tensor]:
        """Return the parts, (p,) or (K, p), of the tangents of the parameters' gradients.

        Args:
            direction: of the product.
            moved: tangents of the gradients of W and b; it is emptied.
            known: nothing: no gradient is read.
        """
        lead = () if direction.count == 1 else (direction.count,)
        found: list[Tensor | None] = [None] * len(self._shapes)
        for layer, (weight, bias) in enumerate(
            zip(self._weight_places, self._bias_places, strict=True)
        ):
            terms = moved.weights.pop(layer, [])
            if weight is not None:
                for term in terms:
                    _add(found, weight, term)
            of_bias = moved.biases.pop(layer, None)
            if bias is not None and of_bias is not None:
                _add(found, bias, of_bias)
        return [
            torch.zeros(*lead, shape.numel(), dtype=self.weights[0].dtype)
            if part is None
            else part.reshape(*lead, -1)
            for part, shape in zip(found, self._shapes, strict=True)
        ]


def _add(found: list[Tensor | None], place: int, term: Tensor) -> None:
    before = found[place]
    found[place] = term if before is None else before + term
