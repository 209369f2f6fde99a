"""Which convolutions and linear layers a tangent pass takes as affine layers, and their names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from spectra.products.tangent.affine import Affine, LinearLayer
from spectra.products.tangent.convolution import Convolution
from spectra.products.tangent.flat_order import AffineParts, Norm

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def is_affine(module: nn.Module | None) -> bool:
    """Say whether ``module`` is a convolution or a linear layer that :func:`affine_layer` reads."""
    if type(module) is nn.Linear:
        return True
    return (
        isinstance(module, CONVOLUTIONS)
        and type(module) in CONVOLUTIONS
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


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
