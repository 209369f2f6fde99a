"""Per-sample losses: the interface, and cross-entropy."""

from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class PerSampleLoss(Protocol):
    """Anything that maps outputs (n, C) and labels (n,) to the loss of each image (n,)."""

    def __call__(self, outputs: Tensor, labels: Tensor, /) -> Tensor:
        """Return the loss of each image, shape (n,); image i may depend on row i alone."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of ``scale`` · outputs.

    Attributes:
        scale: 1 for a linear head; s for a cosine head, whose outputs are cos θ.
    """

    scale: float = 1.0

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        return F.cross_entropy(self.scale * outputs, labels, reduction="none")
