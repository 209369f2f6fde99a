"""Per-sample losses: the interface, and cross-entropy."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

# Above it softplus(x) is x to the last bit of float64.
_SOFTPLUS_IS_LINEAR = 50.0


class PerSampleLoss(Protocol):
    """Anything that maps outputs (n, C) and labels (n,) to the loss of each image (n,)."""

    def __call__(self, outputs: Tensor, labels: Tensor, /) -> Tensor:
        """Return the loss of each image, shape (n,); image i may depend on row i alone."""
        ...


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log p_y of each image, shape (n,), with derivatives as exact as itself.

    As log(1 + Σ_{c≠y} exp(z_c - z_y)): the usual form has derivatives by p_y - 1, of which nothing
    is left in float32 where 1 - p_y nears 1e-7, as it does for classes fitted well.

    Args:
        logits: z, shape (n, C).
        labels: y, int64 (n,).
    """
    own = torch.arange(logits.shape[1], device=labels.device) == labels[:, None]
    ahead = logits - logits.gather(1, labels[:, None])
    others = ahead.masked_fill(own, torch.finfo(logits.dtype).min).logsumexp(1)
    return F.softplus(others, threshold=_SOFTPLUS_IS_LINEAR)


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of ``scale`` · outputs.

    Attributes:
        scale: 1 for a linear head; s for a cosine head, whose outputs are cos θ.

    Example:
        >>> import torch, spectra
        >>> spectra.CrossEntropy()(torch.zeros(1, 10), torch.tensor([3]))  # log 10
        tensor([2.3026])
    """

    scale: float = 1.0

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        return cross_entropy(self.scale * outputs, labels)
