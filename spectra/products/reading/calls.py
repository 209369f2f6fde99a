"""One operation of a network as makers of layers see it, and what they make of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from spectra.products.layers.interface import Layer

# What is asked of a tensor whose answer no parameter moves.
_QUERIES = (
    "size", "dim", "numel", "nelement", "ndimension", "stride", "is_floating_point",
    "gt", "ge", "lt", "le", "eq", "ne", "argmax", "argmin", "isnan", "isinf",
    operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne,
    torch.gt, torch.ge, torch.lt, torch.le, torch.eq, torch.ne, torch.argmax, torch.argmin,
    torch.isnan, torch.isinf,
)  # fmt: skip
ATTRIBUTES = ("shape", "ndim", "dtype", "device", "requires_grad", "is_cuda", "layout")
_NOTHING = (
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)  # fmt: skip
_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, torch.dropout)
_IN_PLACE = (
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow,
)  # fmt: skip

# A value of the network, or the name of a tensor that the called module owns, such as "weight".
Source = fx.Node | str


@dataclass(frozen=True)
class Call:
    """One operation of a network in eval mode, as it is called.

    Attributes:
        target: the type of a module, a function, or the name of a method.
        args: positional arguments, values of the network as nodes; of a method, its tensor first.
        kwargs: the same by keyword.
        module: the module that is called, if one is.
        item: of an operation that returns several values, the place of the one that is wanted,
            such as ``(0,)``; empty where it returns one.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    module: nn.Module | None = None
    item: tuple[Any, ...] = ()

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """Return an argument by its place, or else by its name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    @property
    def sources(self) -> list[fx.Node]:
        """All values of the network among the arguments, each once, in their order."""
        return sources_of((self.args, dict(self.kwargs)))

    def takes_one(self) -> bool:
        """Say whether one value is the first argument, and no other argument is a value."""
        return bool(self.args) and self.sources == [self.args[0]]


@dataclass(frozen=True)
class Known:
    """A layer, and where its inputs come from."""

    layer: Layer
    inputs: tuple[Source, ...]


Maker = Callable[[Call], Known | None]


def sources_of(arguments: Any) -> list[fx.Node]:
    """Return all values of the network among some arguments, each once, in their order."""
    found: dict[fx.Node, None] = {}
    fx.node.map_arg(arguments, lambda node: found.setdefault(node))
    return list(found)


def with_values(arguments: Any, values: Mapping[fx.Node, Any]) -> Any:
    """Return ``arguments`` with values in the place of nodes."""
    return fx.node.map_arg(arguments, lambda node: values[node])


def attribute(owner: Any, path: str) -> Any:
    """Return what a dotted path names in a module."""
    for name in path.split("."):
        owner = getattr(owner, name)
    return owner


def of_first(call: Call) -> tuple[Callable[..., Any], tuple[fx.Node, ...]]:
    """Return a call as a function of its first argument and of further values, and those.

    Views are made by reshaping: values may be in another order of memory than the network's.
    """
    first, *rest = call.args
    sources = [node for node in call.sources if node is not first]
    keywords = {k: v for k, v in call.kwargs.items() if k != "inplace"}
    target, item = call.target, call.item
    if isinstance(target, str):
        name = "reshape" if target == "view" else target

        def apply(x: Any, *arguments: Any, **named: Any) -> Any:
            return getattr(x, name)(*arguments, **named)
    else:
        apply = target if call.module is None else call.module

    def function(x: Any, *others: Any) -> Any:
        given: tuple[Any, dict[str, Any]] = (tuple(rest), keywords)
        if sources:
            given = with_values(given, dict(zip(sources, others, strict=True)))
        found = apply(x, *given[0], **given[1])
        for place in item:
            found = found[place]
        return found

    return function, (first, *sources)


def in_place(node: fx.Node, module: nn.Module | None) -> bool:
    """Say whether ``node`` overwrites its first argument."""
    if module is not None:
        return bool(getattr(module, "inplace", False))
    if node.op not in ("call_method", "call_function"):
        return False
    if node.kwargs.get("inplace") or node.kwargs.get("out") is not None or node.target in _IN_PLACE:
        return True
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.endswith("_") and not name.endswith("__")


def is_query(call: Call) -> bool:
    """Say whether a call asks a tensor for what no parameter moves, such as its shape."""
    if call.target is getattr:
        return call.argument(1, "name") in ATTRIBUTES
    return call.module is None and call.target in _QUERIES


def does_nothing(call: Call) -> bool:
    """Say whether a call hands on its first argument: a dropout in eval mode, say."""
    if not call.args or not isinstance(call.args[0], fx.Node) or call.item:
        return False
    if call.module is not None:
        return type(call.module) in _NOTHING
    if call.target in _DROPOUTS:
        return call.argument(2, "training", call.target is not torch.dropout) is False
    return call.target == "contiguous"
