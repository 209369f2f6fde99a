"""Which operations of a network have a layer that is written out: one table for each kind of call.

A maker takes a :class:`Call` and returns a :class:`Known`: the layer, and where its inputs come
from, in the order in which the layer takes them. It returns None for what the layer cannot do (an
unusual option, say): such a call becomes a layer that torch's graph serves. To add an operation,
write its layer in :mod:`spectra.products.layers` and a maker into a table below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra.products.layers.pointwise import Activation, Relu
from spectra.products.reading import rearranging
from spectra.products.reading.calls import Call, Known, Maker


def _relu(call: Call) -> Known | None:
    return Known(Relu(), (call.args[0],)) if call.takes_one() else None


def _activation(call: Call) -> Known | None:
    """Return an elementwise function of one value, whatever its options."""
    if not call.takes_one():
        return None
    return Known(Activation(_of_one(call)), (call.args[0],))


def _of_one(call: Call) -> Callable[[Tensor], Tensor]:
    """Return the call as a function of its first argument, which it leaves alone."""
    if call.module is not None:
        module = call.module
        return (lambda x: module(x.clone())) if getattr(module, "inplace", False) else module
    rest, keywords = call.args[1:], {k: v for k, v in call.kwargs.items() if k != "inplace"}
    target = call.target
    if isinstance(target, str):
        return lambda x: getattr(x, target)(*rest, **keywords)
    return lambda x: target(x, *rest, **keywords)


MODULES: dict[type[nn.Module], Maker] = {
    **rearranging.MODULES,
    nn.ReLU: _relu,
    **dict.fromkeys(
        (nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus, nn.LeakyReLU, nn.ReLU6,
         nn.Mish), _activation),
}  # fmt: skip
FUNCTIONS: dict[Callable[..., Any], Maker] = {
    **rearranging.FUNCTIONS,
    **dict.fromkeys((F.relu, torch.relu, F.relu_), _relu),
    **dict.fromkeys(
        (torch.tanh, F.tanh, torch.sigmoid, F.sigmoid, F.gelu, F.silu, F.elu, F.softplus,
         F.leaky_relu, F.relu6, F.mish), _activation),
}  # fmt: skip
METHODS: dict[str, Maker] = {
    **rearranging.METHODS,
    "relu": _relu,
    **dict.fromkeys(("tanh", "sigmoid"), _activation),
}


def known_layer(call: Call) -> Known | None:
    """Return the layer of a call; None where no maker has one."""
    if call.module is not None:
        maker = MODULES.get(type(call.module))
    elif isinstance(call.target, str):
        maker = METHODS.get(call.target)
    else:
        maker = FUNCTIONS.get(call.target)
    return None if maker is None else maker(call)
