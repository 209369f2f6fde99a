"""The images on which an operator is checked."""

from __future__ import annotations

import torch
from torch import Tensor

from spectra.objective.counting import ImageCount
from spectra.operators.chunked import ChunkedOperator
from spectra.products import KeptWork, make_products

# Ours: at a time, and how often others are taken where a comparison fails.
CHECKED_IMAGES, MOST_OFTEN = 4, 3


class FewImages:
    """Operators over a few images of another one, those of the largest loss first.

    On images fitted to rounding, differences show nothing else. What is done with them is not
    counted: a run checks its first loss alone, and a resumed run's first is another.

    Cost: one forward pass over the images whose losses are not known.

    Args:
        op: the operator that is checked.
        known: the losses of the first images, w_i ℓ_i, as far as they are known.
    """

    @torch.no_grad()
    def __init__(self, op: ChunkedOperator, known: Tensor) -> None:
        self.op = op
        others = [op.chunk_losses(chunk) for chunk in op.chunks() if chunk.start >= len(known)]
        losses = torch.cat([known, *others])
        self.order: Tensor = losses.argsort(descending=True, stable=True)

    def as_made(self, attempt: int) -> ChunkedOperator:
        """Return the operator over a few images; other ones at every attempt while there are."""
        start = CHECKED_IMAGES * attempt
        chosen = self.order[start : start + CHECKED_IMAGES]
        if not len(chosen):
            chosen = self.order[:CHECKED_IMAGES]
        part = self.op.over_images(chosen.sort().values)
        weights = part.weights if part.weights.sum() > 0 else torch.ones_like(part.weights)
        part = part.with_weights(weights)
        part.count = ImageCount()
        return part

    def in_float64(self, attempt: int) -> ChunkedOperator:
        """Return the same in float64 by double backward, with a network of its own."""
        double = self.as_made(attempt)._in_float64()
        double._products = make_products("double-backward", double.model, double.sample_losses)
        double._kept = KeptWork(0, trims=False)
        return double
