"""Which operations of a network have a layer that is written out: one table for each kind of call.

A maker takes a :class:`Call` and returns a :class:`Known`: the layer, and where its inputs come
from, in the order in which the layer takes them. It returns None for what the layer cannot do (an
unusual option, say): such a call becomes a layer that torch's graph serves. To add an operation,
write its layer in :mod:`spectra.products.layers` and a maker into a table below.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from spectra.products.layers.pointwise import Activation, Relu
from spectra.products.reading import combining, normalising, rearranging
from spectra.products.reading.calls import Call, Known, Maker


def _relu(call: Call) -> Known | None:
    return Known(Relu(), (call.args[0],)) if call.takes_one() else None


def _activation(call: Call) -> Known | None:
    """Return an elementwise function of one value, whatever its options."""
    return Known(Activation(_of_one(call)), (call.args[0],)) if call.takes_one() else None


def _of_pieces(call: Call) -> Known | None:
    """Return an elementwise function whose graph is of straight pieces."""
    if not call.takes_one():
        return None
    return Known(Activation(_of_one(call), bends=False), (call.args[0],))


def _hardsigmoid(call: Call) -> Known | None:
    """Return a function with the values of torch's, which has no second derivative."""
    if not call.takes_one():
        return None
    return Known(Activation(lambda x: F.relu6(x + 3) / 6, bends=False), (call.args[0],))


def _of_number_and_value(call: Call) -> Known | None:
    """Return such as 1 - x, 1 / x, 2 ** x."""
    number, x = call.args if len(call.args) == 2 and not call.kwargs else (None, None)
    if not isinstance(number, (int, float)) or not isinstance(x, fx.Node):
        return None
    target = call.target
    return Known(Activation(lambda value: target(number, value)), (x,))


def _of_one(call: Call) -> Callable[[Tensor], Tensor]:
    """Return the call as a function of its first argument, which it leaves alone."""
    if call.module is not None:
        module = call.module
        return (lambda x: module(x.clone())) if getattr(module, "inplace", False) else module
    rest, keywords = call.args[1:], {k: v for k, v in call.kwargs.items() if k != "inplace"}
    target = call.target
    if isinstance(target, str):
        name = target.rstrip("_")
        return lambda x: getattr(x, name)(*rest, **keywords)
    if any(argument is True for argument in rest) or target.__name__.endswith("_"):
        return lambda x: target(x.clone(), *rest, **keywords)
    return lambda x: target(x, *rest, **keywords)


def _in_turn(*tables: Mapping[Any, Maker]) -> dict[Any, Maker]:
    """Return one table; where several have a maker, the first that makes a layer is taken."""
    merged: dict[Any, Maker] = {}
    for table in tables:
        for kind, maker in table.items():
            merged[kind] = _first_of(merged[kind], maker) if kind in merged else maker
    return merged


def _first_of(first: Maker, second: Maker) -> Maker:
    return lambda call: first(call) or second(call)


_SMOOTH = (
    "tanh", "sigmoid", "square", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "log2", "sin",
    "cos", "atan", "erf", "pow", "reciprocal",
)  # fmt: skip
_PIECES = ("abs", "clamp", "clip", "clamp_min", "clamp_max")

_MODULES: dict[type[nn.Module], Maker] = {
    nn.ReLU: _relu,
    nn.Hardsigmoid: _hardsigmoid,
    **dict.fromkeys(
        (nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.Softplus, nn.Mish,
         nn.Hardswish, nn.LogSigmoid, nn.Softsign, nn.Tanhshrink), _activation),
    **dict.fromkeys(
        (nn.LeakyReLU, nn.ReLU6, nn.Hardtanh, nn.Threshold, nn.Softshrink, nn.Hardshrink),
        _of_pieces),
}  # fmt: skip
_FUNCTIONS: dict[Callable[..., Any], Maker] = {
    **dict.fromkeys((F.relu, torch.relu, F.relu_, torch.relu_), _relu),
    F.hardsigmoid: _hardsigmoid,
    **dict.fromkeys(
        (F.tanh, F.sigmoid, F.gelu, F.silu, F.elu, F.elu_, F.selu, F.celu, F.softplus, F.mish,
         F.hardswish, F.logsigmoid, F.softsign, F.tanhshrink), _activation),
    **dict.fromkeys(
        (F.leaky_relu, F.leaky_relu_, F.relu6, F.hardtanh, F.hardtanh_, F.threshold, F.softshrink,
         F.hardshrink), _of_pieces),
    **{getattr(torch, name): _activation for name in _SMOOTH},
    **{getattr(torch, name): _of_pieces for name in _PIECES},
    operator.pow: _first_of(_activation, _of_number_and_value),
    **dict.fromkeys(
        (operator.sub, torch.sub, operator.truediv, torch.div), _of_number_and_value),
}  # fmt: skip
_METHODS: dict[str, Maker] = {
    **dict.fromkeys(("relu", "relu_"), _relu),
    **{name: _activation for stem in _SMOOTH for name in (stem, f"{stem}_")},
    **{name: _of_pieces for stem in _PIECES for name in (stem, f"{stem}_")},
}

MODULES: dict[type[nn.Module], Maker] = _in_turn(
    rearranging.MODULES, normalising.MODULES, combining.MODULES, _MODULES
)
FUNCTIONS: dict[Callable[..., Any], Maker] = _in_turn(
    rearranging.FUNCTIONS, normalising.FUNCTIONS, combining.FUNCTIONS, _FUNCTIONS
)
METHODS: dict[str, Maker] = _in_turn(rearranging.METHODS, combining.METHODS, _METHODS)


def known_layer(call: Call) -> Known | None:
    """Return the layer of a call; None where no maker has one."""
    if call.module is not None:
        maker = MODULES.get(type(call.module))
    elif isinstance(call.target, str):
        maker = METHODS.get(call.target)
    else:
        maker = FUNCTIONS.get(call.target)
    return None if maker is None else maker(call)
