"""A network's forward pass by the layers that it was read as."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from spectra.objective.network.own_calls import called_as_own
from spectra.products.tangent.affine import Affine
from spectra.products.tangent.products import TangentProducts


class NetworkAsRead(nn.Module):
    """What a network computes, with its parameters as they are when it is called.

    Batch norms are folded into the layers before them, and convolutions are computed as products
    compute them: in float64 that takes a third of the time of the network's own pass.

    Args:
        network: in eval mode.
        products: of this very network.
    """

    def __init__(self, network: nn.Module, products: TangentProducts) -> None:
        super().__init__()
        self.network, self._products = network, products

    def forward(self, images: Any) -> Tensor:
        """Return the outputs."""
        products, trace = self._products, self._products.trace
        values: dict[str, Any] = {trace.batch: images, **trace.constants, **products.own}
        if isinstance(images, Tensor):
            values[trace.batch] = products.packed(images)
        for i, step in enumerate(trace.steps):
            inputs = tuple(values[name] for name in step.inputs)
            layer = step.layer
            if isinstance(layer, Affine):
                values[step.output] = layer.apply(inputs[0], *folded(layer))
            else:
                values[step.output] = layer.value(*inputs)
            for name in set(step.inputs):
                if products.last_use[name] == i:
                    del values[name]
        found: Tensor = called_as_own(trace.rest, values[trace.features].contiguous())
        return found


def folded(layer: Affine) -> tuple[Tensor, Tensor | None]:
    """Return W' and b' of a layer, of its parameters as they are now."""
    module, norm = layer.parts.module, layer.parts.norm
    if norm is None:
        return module.weight, module.bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale, shift = (norm.running_var + norm.eps).rsqrt(), -norm.running_mean
    if module.bias is not None:
        shift = shift + module.bias
    if norm.affine:
        scale = scale * norm.weight
    weight = module.weight * scale.view(-1, *[1] * (module.weight.ndim - 1))
    shift = scale * shift
    return weight, shift + norm.bias if norm.affine else shift
