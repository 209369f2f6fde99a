"""Which convolutions and linear layers a tangent pass takes as affine layers, and their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from spectra.products.tangent.affine import Affine, LinearLayer
from spectra.products.tangent.convolution import Convolution
from spectra.products.tangent.flat_order import AffineParts, Norm

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def is_affine(module: nn.Module | None) -> bool:
    """Say whether ``module`` is a convolution or a linear layer that :func:`affine_layer` reads."""
    if type(module) is nn.Linear:
        return True
    return type(module) in CONVOLUTIONS


def ring_before(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return what puts a ring around a convolution's input, where it is not one of as many zeros
    on either side, which convolutions make themselves.
    """
    if not isinstance(module, CONVOLUTIONS) or module.padding == "valid":
        return None
    ring, mode = module._reversed_padding_repeated_twice, module.padding_mode
    if mode != "zeros":
        return lambda x: F.pad(x, ring, mode)
    return None if ring[::2] == ring[1::2] else lambda x: F.pad(x, ring)


def is_folded(norm: nn.Module | None) -> bool:
    """Say whether ``norm`` is a batch norm that folds into the affine layer before it."""
    return isinstance(norm, Norm) and norm.track_running_stats


def affine_layer(module: nn.Module, norm: nn.Module | None, names: Mapping[int, str]) -> Affine:
    """Return the layer of a convolution or linear layer and of the batch norm after it.

    Args:
        module: one that :func:`is_affine`.
        norm: one that :func:`is_folded`, or None.
        names: of the trained parameters in the network, by their ids.
    """
    found = {}
    for owner, kinds in (
        (module, {"weight": "weight", "bias": "bias"}),
        (norm, {"gamma": "weight", "beta": "bias"}),
    ):
        for kind, attribute in kinds.items():
            name = names.get(id(getattr(owner, attribute, None)))
            if name is not None:
                found[kind] = name
    assert isinstance(module, (*CONVOLUTIONS, nn.Linear))
    assert norm is None or isinstance(norm, Norm)
    parts = AffineParts(found, module, norm)
    return LinearLayer(parts) if isinstance(module, nn.Linear) else Convolution(parts)
