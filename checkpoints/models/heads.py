"""Classification heads."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Return cos θ between the features and one direction per class; no bias.

    The scale s is not applied here but in the loss, as in the published code, so that a loss
    with margins can be written on cosines. ``weight`` has shape (in_features, num_classes).

    Source: Cao et al., NeurIPS 2019 (``NormedLinear``).
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_features, num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, in_features) to cosines (n, num_classes)."""
        return F.normalize(features, dim=1) @ F.normalize(self.weight, dim=0)


def make_head(kind: str, in_features: int, num_classes: int) -> nn.Module:
    """Return a ``linear`` or ``cosine`` head."""
    if kind == "linear":
        return nn.Linear(in_features, num_classes)
    if kind == "cosine":
        return CosineHead(in_features, num_classes)
    raise ValueError(f"head must be linear or cosine, got {kind!r}")
