"""Makers of the layers that move numbers about, add some of them up, or scale them all."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from spectra.products.layers.linear_maps import LinearMap, MaxPool
from spectra.products.layers.rearrangements import (
    Expand,
    Joined,
    Masked,
    Permute,
    Pick,
    Rearrangement,
    Reduction,
    Reshape,
    Scale,
    Shift,
)
from spectra.products.reading.calls import Call, Known, Maker, of_first, sources_of


def _rearranged(layer: type[Rearrangement]) -> Maker:
    """Return a maker for calls that rearrange their first argument."""

    def make(call: Call) -> Known | None:
        if not call.args or not isinstance(call.args[0], fx.Node):
            return None
        if call.args[0] in sources_of((call.args[1:], dict(call.kwargs))):
            return None
        function, inputs = of_first(call)
        return Known(layer(function), inputs)

    return make


_reshape, _expand, _pick = (_rearranged(layer) for layer in (Reshape, Expand, Pick))


def _permute(order: Callable[[Call], Callable[[int], Sequence[int]]]) -> Maker:
    """Return a maker for calls that put the axes of one value into another order."""

    def make(call: Call) -> Known | None:
        if not call.takes_one():
            return None
        return Known(Permute(order(call)), (call.args[0],))

    return make


def _swapped(call: Call) -> Callable[[int], list[int]]:
    first, second = call.argument(1, "dim0", 0), call.argument(2, "dim1", 1)

    def order(ndim: int) -> list[int]:
        axes = list(range(ndim))
        axes[first], axes[second] = axes[second], axes[first]
        return axes

    return order


def _given_order(call: Call) -> Callable[[int], list[int]]:
    axes = call.args[1:] if len(call.args) > 1 else (call.kwargs["dims"],)
    given = list(axes[0]) if isinstance(axes[0], (tuple, list)) else list(axes)
    return lambda ndim: [axis % ndim for axis in given]


def _attribute(call: Call) -> Known | None:
    """Return a transpose that is asked for as an attribute."""
    name = call.argument(1, "name")
    if name == "T" or name == "mT":
        flips_all = name == "T"

        def order(ndim: int) -> list[int]:
            axes = list(range(ndim))
            return axes[::-1] if flips_all else [*axes[:-2], *axes[:-3:-1]]

        return Known(Permute(order), (call.args[0],))
    return None


def _getitem(call: Call) -> Known | None:
    """Return an index of slices, numbers and new axes; tensors as indices go another way."""
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    plain = (int, slice, type(None), type(...))
    if not all(isinstance(i, plain) and not isinstance(i, bool) for i in index):
        return None
    return _pick(call)


def _reduction(is_mean: bool) -> Maker:
    """Return a maker of sums or means over axes."""

    def make(call: Call) -> Known | None:
        if not call.takes_one() or "dtype" in call.kwargs or len(call.args) > 3:
            return None
        axes = call.argument(1, "dim", call.kwargs.get("axis"))
        if call.target in ("mean", "sum") and len(call.args) > 1:
            positional = [a for a in call.args[1:] if type(a) is int]
            if len(positional) > 1:  # x.mean(1, 2)
                return None
        keeps = bool(call.argument(2, "keepdim", False))
        axes = (axes,) if isinstance(axes, int) else axes
        function, inputs = of_first(call)
        layer = Reduction(function, axes, keeps_axes=keeps, is_mean=is_mean)
        return Known(layer, inputs)

    return make


def _scaled(call: Call) -> Known | None:
    """Return a value times, or divided by, a number."""
    first, second = call.args if len(call.args) == 2 and not call.kwargs else (None, None)
    if isinstance(first, fx.Node) and isinstance(second, (int, float)):
        function, inputs = of_first(call)
        return Known(Scale(function), inputs)
    commutes = call.target in (operator.mul, torch.mul)
    if commutes and isinstance(second, fx.Node) and isinstance(first, (int, float)):
        return Known(Scale(lambda x: first * x), (second,))
    return None


def _negated(call: Call) -> Known | None:
    function, inputs = of_first(call)
    return Known(Scale(function), inputs)


def _shifted(call: Call) -> Known | None:
    """Return a value plus or minus a number."""
    first, second = call.args if len(call.args) == 2 and not call.kwargs else (None, None)
    if isinstance(first, fx.Node) and isinstance(second, (int, float)):
        function, inputs = of_first(call)
        return Known(Shift(function), inputs)
    commutes = call.target in (operator.add, torch.add)
    if commutes and isinstance(second, fx.Node) and isinstance(first, (int, float)):
        return Known(Shift(lambda x: first + x), (second,))
    return None


def _masked(call: Call) -> Known | None:
    """Return a value with a number in the places that are masked."""
    x, mask, number = (call.argument(i, n) for i, n in enumerate(("input", "mask", "value")))
    nodes = isinstance(x, fx.Node) and isinstance(mask, fx.Node)
    if not nodes or not isinstance(number, (int, float)):
        return None
    return Known(Masked(lambda x, mask: x.masked_fill(mask, number), where=True), (x, mask))


def _chosen(call: Call) -> Known | None:
    """Return a choice between a value and a number, place by place."""
    if len(call.args) != 3 or call.kwargs or not isinstance(call.args[0], fx.Node):
        return None
    mask, first, second = call.args
    if isinstance(first, fx.Node) and isinstance(second, (int, float)):
        layer = Masked(lambda x, mask: torch.where(mask, x, second), where=False)
        return Known(layer, (first, mask))
    if isinstance(second, fx.Node) and isinstance(first, (int, float)):
        layer = Masked(lambda x, mask: torch.where(mask, first, x), where=True)
        return Known(layer, (second, mask))
    return None


def _joined(is_new: bool) -> Maker:
    """Return a maker of values joined along an axis."""

    def make(call: Call) -> Known | None:
        values, axis = call.argument(0, "tensors"), call.argument(1, "dim", 0)
        if not isinstance(values, (tuple, list)) or not isinstance(axis, int):
            return None
        if not all(isinstance(v, fx.Node) for v in values):
            return None
        return Known(Joined(axis, is_new=is_new), tuple(values))

    return make


def _batchwise(call: Call) -> Known | None:
    """Return a map that is linear in each image, as poolings are."""
    if not call.takes_one():
        return None
    function, inputs = of_first(call)
    return Known(LinearMap(function), inputs)


def _max_pool(call: Call) -> Known | None:
    if not call.takes_one() or getattr(call.module, "return_indices", False):
        return None
    assert isinstance(call.module, (nn.MaxPool1d, nn.MaxPool2d))
    return Known(MaxPool(call.module), (call.args[0],))


def _padded(call: Call) -> Known | None:
    """Return a value with zeros around it."""
    mode, filled = call.argument(2, "mode", "constant"), call.argument(3, "value", 0)
    return _batchwise(call) if mode == "constant" and not filled else None


MODULES: dict[type[nn.Module], Maker] = {
    **dict.fromkeys((nn.Flatten, nn.Unflatten), _reshape),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d), _max_pool),
    **dict.fromkeys(
        (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
         nn.AdaptiveAvgPool3d, nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.PixelShuffle,
         nn.PixelUnshuffle, nn.ChannelShuffle, nn.Upsample), _batchwise),
}  # fmt: skip
FUNCTIONS: dict[Callable[..., Any], Maker] = {
    **dict.fromkeys(
        (torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.unflatten), _reshape),
    **dict.fromkeys((torch.transpose, torch.swapaxes), _permute(_swapped)),
    torch.permute: _permute(_given_order),
    getattr: _attribute,
    operator.getitem: _getitem,
    **dict.fromkeys(
        (torch.chunk, torch.split, torch.unbind, torch.tensor_split, torch.narrow, torch.select),
        _pick),
    torch.mean: _reduction(True),
    torch.sum: _reduction(False),
    **dict.fromkeys((operator.mul, operator.truediv, torch.mul, torch.div), _scaled),
    **dict.fromkeys((operator.neg, torch.neg), _negated),
    **dict.fromkeys((operator.add, operator.sub, torch.add, torch.sub), _shifted),
    **dict.fromkeys((torch.cat, torch.concat), _joined(False)),
    torch.stack: _joined(True),
    torch.masked_fill: _masked,
    torch.where: _chosen,
    **dict.fromkeys(
        (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d,
         F.interpolate, F.pixel_shuffle, F.pixel_unshuffle), _batchwise),
    F.pad: _padded,
}  # fmt: skip
METHODS: dict[str, Maker] = {
    **dict.fromkeys(
        ("view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten"), _reshape),
    **dict.fromkeys(("transpose", "swapaxes"), _permute(_swapped)),
    "permute": _permute(_given_order),
    "t": _permute(lambda call: lambda ndim: list(range(ndim))[::-1]),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expand),
    **dict.fromkeys(("chunk", "split", "unbind", "narrow", "select"), _pick),
    **dict.fromkeys(("masked_fill", "masked_fill_"), _masked),
    "mean": _reduction(True),
    "sum": _reduction(False),
    **dict.fromkeys(("mul", "div"), _scaled),
    "neg": _negated,
    **dict.fromkeys(("add", "sub"), _shifted),
}  # fmt: skip
