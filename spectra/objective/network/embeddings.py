"""Embeddings as functions of their weights that have a derivative everywhere."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# As torch has it in ``embedding_renorm_``.
_ADDED_TO_NORM = 1e-7


@torch.no_grad()
def make_regular(layer: nn.Embedding | nn.EmbeddingBag) -> None:
    """Have gradients dense, rows shortened by ``max_norm`` once, and the padding row constant.

    A pass of torch shortens the rows that it reads, in place; afterwards they stay as they are,
    and derivatives are of the network without that. The row of ``padding_idx``, which torch gives
    no gradient, is a constant: it has zeros in the Hessian.

    Args:
        layer: changed in place.
    """
    layer.sparse = False
    if layer.max_norm is not None:
        norms = layer.weight.norm(layer.norm_type, dim=1, keepdim=True)
        shorter = layer.weight * (layer.max_norm / (norms + _ADDED_TO_NORM))
        layer.weight.copy_(torch.where(norms > layer.max_norm, shorter, layer.weight))
        layer.max_norm = None
    if type(layer) is nn.Embedding and layer.padding_idx is not None:
        vars(layer)["forward"] = ConstantPadding(layer)


class ConstantPadding:
    """The forward pass of an embedding whose padding row is the value that it has now.

    Args:
        layer: has a ``padding_idx``.
    """

    def __init__(self, layer: nn.Embedding) -> None:
        self.layer = layer
        self.row = layer.weight[layer.padding_idx].detach().clone()

    def __call__(self, tokens: Tensor) -> Tensor:
        """Return the rows of ``tokens``."""
        weight, padding = self.layer.weight, self.layer.padding_idx
        assert padding is not None
        held = torch.arange(len(weight), device=weight.device) == padding
        return F.embedding(tokens, torch.where(held[:, None], self.row, weight))

    def __deepcopy__(self, memo: dict[int, Any]) -> ConstantPadding:
        """Return that of the copied layer."""
        return ConstantPadding(copy.deepcopy(self.layer, memo))
