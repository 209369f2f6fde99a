"""The images that carry most of the curvature."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Ours, all that follow, measured on ResNet-20 and -32. Lanczos runs on the images of highest score
# that hold ENOUGH of Σ scores, on a fifth of all at most.
ENOUGH = 0.85
LARGEST_PART = 0.2
FEW_IMAGES = 8  # of less than four times as many, all are used
# Where they hold less than this, images hardly differ, and a selection misleads more than it saves.
PAYS = 0.25
# Where they hold less than this, corrections are not worth products with them.
IS_LIKE_ALL = 0.7
# Ends are refined on the images that hold so much, unless those are nearly all; what is left out
# adds .01 to .02 to the relative residual, so that they are to reach two thirds of the tolerance.
NEARLY_ALL = 0.995


@dataclass(frozen=True)
class ActiveImages:
    """The images that most of the work is done on.

    Attributes:
        index: positions that Lanczos runs on, rising; None: all images.
        share: part of Σ scores that they hold.
        middle: positions that ends are refined on, rising; all images where they are as many.
    """

    index: Tensor | None
    share: float
    middle: Tensor


def choose_active(scores: Tensor) -> ActiveImages:
    """Choose images by their :meth:`spectra.HessianOperator.scores`; all where no choice pays."""
    n, total = len(scores), float(scores.sum())
    largest = max(FEW_IMAGES, round(LARGEST_PART * n))
    everything = ActiveImages(None, 1.0, torch.arange(n, device=scores.device))
    if largest > n // 4 or not total > 0:
        return everything
    order = scores.argsort(descending=True, stable=True)
    shares = scores[order].double().cumsum(0) / total

    def holding(share: float) -> int:
        return min(n, int((shares < share).sum()) + 1)

    size = min(max(holding(ENOUGH), FEW_IMAGES), largest)
    share = float(shares[size - 1])
    if share < PAYS:
        return everything
    middle = order[: max(size, holding(NEARLY_ALL))] if share >= IS_LIKE_ALL else order
    return ActiveImages(order[:size].sort().values, share, middle.sort().values)
