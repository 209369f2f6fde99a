"""Makers of normalisations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from spectra.products.layers.interface import Layer
from spectra.products.norms.group_norm import GroupNorm
from spectra.products.norms.normalisation import Normalisation
from spectra.products.norms.rows import LastAxes, Lengths, Rows
from spectra.products.norms.running_norm import RunningNorm
from spectra.products.reading.calls import Call, Known, Maker, Source

_EPS = 1e-5  # torch's, of all its norms


def _owned(module: nn.Module, *names: str) -> list[str | None]:
    """Return the names of those tensors of a module that it has, None for others."""
    return [None if getattr(module, name) is None else name for name in names]


def _known(layer: Layer, *inputs: Source | None) -> Known | None:
    """Return a layer with its inputs, those left out that are None."""
    given = tuple(source for source in inputs if source is not None)
    return Known(layer, given) if all(isinstance(s, (fx.Node, str)) for s in given) else None


def _of_rows(rows: Rows, shape: Any, x: Any, weight: Any, bias: Any) -> Known | None:
    layer = Normalisation(rows, shape, has_weight=weight is not None, has_bias=bias is not None)
    return _known(layer, x, weight, bias)


def _of_groups(groups: int | None, eps: float, x: Any, weight: Any, bias: Any) -> Known | None:
    layer = GroupNorm(groups, eps, has_weight=weight is not None, has_bias=bias is not None)
    return _known(layer, x, weight, bias)


def _by_averages(eps: float, x: Any, averages: list[Any], weight: Any, bias: Any) -> Known | None:
    if not all(isinstance(a, str) or getattr(a, "op", "") == "get_attr" for a in averages):
        return None
    layer = RunningNorm(eps, has_weight=weight is not None, has_bias=bias is not None)
    return _known(layer, x, *averages, weight, bias)


def _sizes(shape: Any) -> tuple[int, ...] | None:
    """Return a shape that is known, or None."""
    given = (shape,) if isinstance(shape, int) else tuple(shape or ())
    return given if given and all(isinstance(size, int) for size in given) else None


def _layer_norm(call: Call) -> Known | None:
    if isinstance(call.module, nn.LayerNorm):
        shape, eps = tuple(call.module.normalized_shape), call.module.eps
        affine: list[Any] = list(_owned(call.module, "weight", "bias"))
    else:
        found = _sizes(call.argument(1, "normalized_shape"))
        if found is None:
            return None
        shape, eps = found, call.argument(4, "eps", _EPS)
        affine = [call.argument(2, "weight"), call.argument(3, "bias")]
    return _of_rows(LastAxes(shape, eps), shape, call.argument(0, "input"), *affine)


def _rms_norm(call: Call) -> Known | None:
    weight: Any
    if isinstance(call.module, nn.RMSNorm):
        shape, eps = tuple(call.module.normalized_shape), call.module.eps
        (weight,) = _owned(call.module, "weight")
    else:
        found = _sizes(call.argument(1, "normalized_shape"))
        if found is None:
            return None
        shape, eps = found, call.argument(3, "eps")
        weight = call.argument(2, "weight")
    rows = Lengths(tuple(range(-len(shape), 0)), eps, mean=True)
    return _of_rows(rows, shape, call.argument(0, "input"), weight, None)


def _unit_length(call: Call) -> Known | None:
    axis, eps = call.argument(2, "dim", 1), call.argument(3, "eps", 1e-12)
    axes = axis if isinstance(axis, tuple) else (axis,)
    plain = call.argument(1, "p", 2.0) == 2 and call.argument(4, "out") is None
    if not plain or not all(isinstance(a, int) for a in axes):
        return None
    return _known(Normalisation(Lengths(axes, eps, mean=False)), call.argument(0, "input"))


def _group_norm(call: Call) -> Known | None:
    x = call.argument(0, "input")
    if isinstance(call.module, nn.GroupNorm):
        affine = _owned(call.module, "weight", "bias")
        return _of_groups(call.module.num_groups, call.module.eps, x, *affine)
    groups, eps = call.argument(1, "num_groups"), call.argument(4, "eps", _EPS)
    if not isinstance(groups, int):
        return None
    return _of_groups(groups, eps, x, call.argument(2, "weight"), call.argument(3, "bias"))


def _norm_of_module(call: Call) -> Known | None:
    """Return a batch or instance norm, by running averages where it goes by them in eval mode."""
    x, module = call.argument(0, "input"), call.module
    assert isinstance(module, _WITH_AVERAGES)
    affine = _owned(module, "weight", "bias")
    if module.running_mean is not None and module.running_var is not None:
        return _by_averages(module.eps, x, ["running_mean", "running_var"], *affine)
    if isinstance(module, _INSTANCE_NORMS):
        return _of_groups(None, module.eps, x, *affine)
    return None  # by the batch's own averages, which couples images


def _instance_norm(call: Call) -> Known | None:
    averages = [call.argument(1, "running_mean"), call.argument(2, "running_var")]
    affine = [call.argument(3, "weight"), call.argument(4, "bias")]
    x, eps = call.argument(0, "input"), call.argument(7, "eps", _EPS)
    if call.argument(5, "use_input_stats", True) is True:
        return _of_groups(None, eps, x, *affine) if averages == [None, None] else None
    return _by_averages(eps, x, averages, *affine)


def _batch_norm(call: Call) -> Known | None:
    averages = [call.argument(1, "running_mean"), call.argument(2, "running_var")]
    if call.argument(5, "training", False) is not False:
        return None
    affine = call.argument(3, "weight"), call.argument(4, "bias")
    return _by_averages(call.argument(7, "eps", _EPS), call.argument(0, "input"), averages, *affine)


_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_WITH_AVERAGES = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, *_INSTANCE_NORMS,
)  # fmt: skip

MODULES: dict[type[nn.Module], Maker] = {
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
    nn.GroupNorm: _group_norm,
    **dict.fromkeys(_WITH_AVERAGES, _norm_of_module),
}
FUNCTIONS: dict[Callable[..., Any], Maker] = {
    F.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    torch.rms_norm: _rms_norm,
    F.normalize: _unit_length,
    F.group_norm: _group_norm,
    torch.group_norm: _group_norm,
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
}
