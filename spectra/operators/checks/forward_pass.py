"""What a forward pass does that differences cannot see through: roundings and exact kinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from spectra.objective.frozen_loss import FrozenLoss
from spectra.operators.chunked import ChunkedOperator
from spectra.system.exact import exact_products

_aten = torch.ops.aten
_LOWER = (torch.float32, torch.float16, torch.bfloat16)


def _at_zero(x: Tensor, *_: Any) -> Tensor:
    return x == 0


def _at_bounds(x: Tensor, *bounds: Any) -> Tensor:
    found = torch.zeros_like(x, dtype=torch.bool)
    for bound in bounds:
        if bound is not None:
            found |= x == bound
    return found


# Operations whose derivative jumps, and where: what says so of their input.
_KINKS: dict[Any, Callable[..., Tensor]] = {
    _aten.relu: _at_zero,
    _aten.relu_: _at_zero,
    _aten.leaky_relu: _at_zero,
    _aten.leaky_relu_: _at_zero,
    _aten._prelu_kernel: _at_zero,
    _aten.elu: _at_zero,
    _aten.elu_: _at_zero,
    _aten.abs: _at_zero,
    _aten.threshold: lambda x, threshold, value: x == threshold,
    _aten.hardtanh: lambda x, low=-1, high=1: _at_bounds(x, low, high),
    _aten.hardtanh_: lambda x, low=-1, high=1: _at_bounds(x, low, high),
    _aten.clamp: lambda x, low=None, high=None: _at_bounds(x, low, high),
    _aten.clamp_min: _at_bounds,
    _aten.clamp_max: _at_bounds,
    _aten.maximum: _at_bounds,
    _aten.minimum: _at_bounds,
}


class CastsLifted(TorchDispatchMode):
    """Has what a network computes in float32 or less computed in float64: forward and backward.

    An operator's own copy of a network has no casts to float32 in its forward pass, but functions
    that bring their own backward pass may cast there: differences of it are noise.

    Attributes:
        lifted: names of the operations that asked for less than float64.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lifted: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run ``func`` with float64 wherever it names a smaller type."""
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") in _LOWER:
            self.lifted.add(func._schema.name.removeprefix("aten::"))
            kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)


@dataclass(frozen=True)
class KinkedInput:
    """Entries of the input of an activation that are exactly where its derivative jumps.

    Attributes:
        layer: name of the module in whose forward pass it is.
        operation: such as ``relu``.
        entries: which, a truth value each.
    """

    layer: str
    operation: str
    entries: Tensor


class _KinksFound(TorchDispatchMode):
    """Notes the inputs of activations; see :func:`kinks_that_move`."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[str] = [""]
        self.inputs: list[KinkedInput] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        at_kink = _KINKS.get(func.overloadpacket)
        if at_kink is not None and isinstance(args[0], Tensor) and args[0].is_floating_point():
            name = func._schema.name.removeprefix("aten::").strip("_")
            entries = at_kink(*args)
            self.inputs.append(KinkedInput(self.layers[-1], name, entries))
        return func(*args, **(kwargs or {}))


def kinks_that_move(op: FrozenLoss, step: Tensor) -> list[KinkedInput]:
    """Return the entries of activations' inputs that lie on a kink at w, and not at w + step.

    Entries that stay where they are (those of dead units, or of images' black borders) are none:
    the loss does not depend on the side.

    Cost: two forward passes.
    """
    here = _inputs(op)
    with op.moved(step):
        there = _inputs(op)
    if len(here) != len(there):  # other branches are taken
        return []
    found = [
        KinkedInput(one.layer, one.operation, one.entries & ~other.entries)
        for one, other in zip(here, there, strict=True)
        if one.entries.shape == other.entries.shape
    ]
    return [one for one in found if bool(one.entries.any())]


def lower_precision(op: ChunkedOperator) -> set[str]:
    """Return the operations of a product in float64 that ask for less than float64.

    Cost: a product.
    """
    casts = CastsLifted()
    with casts:
        op.matvec(torch.ones(op.size, dtype=op.dtype, device=op.device))
    return casts.lifted


def _inputs(op: FrozenLoss) -> list[KinkedInput]:
    found = _KinksFound()
    with torch.no_grad(), exact_products(op.device), _layers_named(op.model, found.layers), found:
        op.chunk_losses(next(op.chunks()))
    return found.inputs


@contextmanager
def _layers_named(model: nn.Module, stack: list[str]) -> Iterator[None]:
    """Keep the name of the module whose forward pass runs on top of ``stack``."""

    def leave(*_: Any) -> None:
        stack.pop()

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: stack.append(name)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
