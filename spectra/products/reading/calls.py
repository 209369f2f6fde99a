"""One operation of a network as makers of layers see it, and what they make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from spectra.products.layers.interface import Layer

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
