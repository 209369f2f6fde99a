"""Tracing a network with ``torch.fx``; what cannot be traced through stays one operation."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx, nn

from spectra.objective.network.as_found import left_as_found
from spectra.objective.network.own_forward import OwnForward
from spectra.objective.samples.forward import WithForward
from spectra.products.reading.written_out import WRITTEN_OUT


class Root(nn.Module):
    """A network that is called with its batch alone; tensors that tracing makes become its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Any) -> Any:
        """Return the network's outputs."""
        if isinstance(self.network, WithForward):  # whose modules are those of the network in it
            return self.network.forward(batch)
        return self.network(batch)


def traced(network: nn.Module) -> tuple[nn.Module, fx.Graph] | None:
    """Return a module that owns all that the graph names, and the graph; None where it has none.

    A module whose forward pass cannot be traced (it branches on sizes, say, or loops over them)
    becomes one operation, with all others of its type.
    """
    whole: set[type[nn.Module]] = set()
    while True:
        root, tracer = Root(network), _Tracer(whole)
        try:
            with left_as_found(network):
                _take_off_own_forward(network)
                return root, tracer.trace(root)
        except Exception:  # whatever a stranger's forward pass raises when it is traced
            failed = tracer.failed
            if failed is None or type(failed) in whole or failed is network:
                return None
            whole.add(type(failed))
        finally:
            # Functions of torch's that hold each other hold the tracer, and so the network.
            vars(tracer).clear()


def _take_off_own_forward(network: nn.Module) -> None:
    """Have a network call torch by its own names: what is read is then called in other terms."""
    attributes = vars(network)
    found = attributes.get("forward")
    if isinstance(found, OwnForward):
        del attributes["forward"]
        if found.forward is not None:
            attributes["forward"] = found.forward


class _Tracer(fx.Tracer):
    """A tracer that remembers which module it failed in.

    Args:
        whole: types of modules that it does not look into.
    """

    proxy_buffer_attributes = True  # buffers are indexed by sizes

    def __init__(self, whole: set[type[nn.Module]]) -> None:
        super().__init__()
        self.whole = whole
        self.failed: nn.Module | None = None

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Return a module's attribute; the shapes of parameters are numbers, not values."""
        self.param_shapes_constant = isinstance(attr_val, nn.Parameter)
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Return the pieces of a value that was cut into a known number of them."""
        node = obj.node
        cut = node.target in ("chunk", "tensor_split", torch.chunk, torch.tensor_split)
        pieces = node.args[1] if cut and len(node.args) > 1 else node.kwargs.get("chunks")
        if cut and isinstance(pieces, int):
            return iter([operator.getitem(obj, i) for i in range(pieces)])
        return super().iter(obj)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say whether ``m`` is one operation."""
        return type(m) in self.whole or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Trace through ``m``, or through what it is written out as, or make it one operation."""
        written_out = WRITTEN_OUT.get(type(m))
        if written_out is not None and type(m) not in self.whole:
            parts = written_out(m, args, kwargs)
            if parts is not None:
                return parts()
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or m
            raise
