"""Reading a network that is a chain of known layers, as convolutional ones are, and a small rest.

The rest, often a head that normalises, goes through torch's graph. What is read here and how stays
as it is: the bytes of products follow from it. Whatever else there is, :mod:`.graph` reads.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from spectra.products.layers.interface import Layer
from spectra.products.layers.linear_maps import LinearMap, MaxPool
from spectra.products.layers.pointwise import Activation, Relu, Sum
from spectra.products.reading.calls import attribute, with_values
from spectra.products.reading.trace import Step, Trace
from spectra.products.tangent.affine import Affine
from spectra.products.tangent.affine_modules import (
    CONVOLUTIONS,
    affine_layer,
    is_affine,
    is_folded,
    ring_before,
)

# Ours: operations and linear layers after the chain. A cosine head has 8 operations, the classifier
# of a VGG has 3 linear layers; attention has more of both.
_LARGEST_REST, _MOST_LINEAR = 16, 3
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_ACTIVATION_MODULES = (
    nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus, nn.LeakyReLU, nn.ReLU6, nn.Mish,
)  # fmt: skip
_ACTIVATIONS = (
    torch.tanh, F.tanh, torch.sigmoid, F.sigmoid, F.gelu, F.silu, F.elu, F.softplus, F.leaky_relu,
    F.relu6, F.mish,
)  # fmt: skip
_LINEAR_MODULES = (
    nn.Identity, nn.Flatten, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.ZeroPad2d, *_DROPOUTS,
)  # fmt: skip
_LINEAR = (torch.flatten, torch.mean, F.avg_pool2d, F.adaptive_avg_pool2d, operator.getitem, F.pad)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
_METHODS = ("view", "reshape", "flatten", "mean", "contiguous", "size")


def read_chain(root: nn.Module, graph: fx.Graph, names: Mapping[int, str]) -> Trace | None:
    """Read a traced network, in eval mode; None where it is no chain with a small rest.

    The steps are the longest leading part that is made of the layers above and hands on one value.
    What comes after it (a head that normalises, say) may be anything, but no convolution.

    Args:
        root: owns what the graph names.
        graph: of the network.
        names: of the trained parameters in the network, by their ids.
    """
    return _Reader(root, graph, names).read()


class _Reader:
    def __init__(self, root: nn.Module, graph: fx.Graph, names: Mapping[int, str]) -> None:
        self.root, self.names = root, names
        self.nodes = list(graph.nodes)
        self.modules = dict(root.named_modules(remove_duplicate=False))
        self.folded: dict[
            fx.Node, fx.Node
        ] = {}  # a convolution and the norm that is folded into it

    def read(self) -> Trace | None:
        images = [node for node in self.nodes if node.op == "placeholder"]
        if len(images) != 1:
            return None
        steps: list[tuple[fx.Node, Step]] = []
        for node in self.nodes[self.nodes.index(images[0]) + 1 :]:
            if node in self.folded.values():
                continue
            step = self._step(node)
            if step is None:
                break
            steps.append((self.folded.get(node, node), step))
        while steps and not self._is_cut([images[0], *(node for node, _ in steps)]):
            steps.pop()
        if not any(isinstance(step.layer, Affine) for _, step in steps):
            return None
        features = steps[-1][0]
        done = self._with_folded([node for node, _ in steps])
        if not self._is_small([node for node in self.nodes[1:] if node not in done]):
            return None
        rest = [n for n in self.nodes if n not in done and n.op != "placeholder"]
        return Trace(
            tuple(step for _, step in steps),
            images[0].name,
            features.name,
            self._in_turn(features, rest),
            self._trained(rest),
        )

    def _step(self, node: fx.Node) -> Step | None:
        layer = self._layer(node)
        if layer is None:
            return None
        inputs = tuple(n.name for n in node.all_input_nodes)
        return Step(layer, inputs, self.folded.get(node, node).name)

    def _layer(self, node: fx.Node) -> Layer | None:
        if node.op == "call_module":
            return self._module_layer(node)
        tensors = node.all_input_nodes
        if node.op not in ("call_function", "call_method") or (
            node.op == "call_method" and (node.target not in _METHODS)
        ):
            return None
        if node.target in (operator.add, operator.iadd, torch.add) and not node.kwargs:
            return Sum() if len(tensors) == 2 and len(node.args) == 2 else None
        if len(tensors) != 1 or not node.args or node.args[0] is not tensors[0]:
            return None
        if node.target in (F.relu, torch.relu, F.relu_):
            return Relu()
        call = self._call(node)
        if node.target in _ACTIVATIONS:
            return Activation(call)
        if node.target is F.pad and not _is_zero_pad(node):
            return None
        if node.target is operator.getitem and not _keeps_the_batch(node.args[1]):
            return None
        if node.target in _LINEAR or (node.op == "call_method" and node.target != "size"):
            return LinearMap(call)
        return None

    def _call(self, node: fx.Node) -> Callable[[Tensor], Tensor]:
        rest, keywords = node.args[1:], dict(node.kwargs)
        keywords.pop("inplace", None)
        target: Any = node.target
        if node.op == "call_method":
            # Values are in channels-last order here, which a view may not fit.
            target = "reshape" if target == "view" else target
            return lambda x: getattr(x, target)(*rest, **keywords)
        return lambda x: target(x, *rest, **keywords)

    def _module_layer(self, node: fx.Node) -> Layer | None:
        module = self.modules[str(node.target)]
        if len(node.all_input_nodes) != 1 or len(node.args) != 1:
            return None
        if type(module) in (*CONVOLUTIONS, nn.Linear):
            return self._affine(node, module)
        if type(module) is nn.ReLU:
            return Relu()
        if isinstance(module, _ACTIVATION_MODULES):
            return Activation(_without_inplace(module))
        if isinstance(module, _MAX_POOLS):
            return MaxPool(module)
        return LinearMap(module) if isinstance(module, _LINEAR_MODULES) else None

    def _affine(self, node: fx.Node, module: nn.Module) -> Layer | None:
        if not is_affine(module) or ring_before(module) is not None:
            return None
        users, norm = list(node.users), None
        if len(users) == 1 and users[0].op == "call_module":
            after = self.modules[str(users[0].target)]
            if is_folded(after):
                norm = after
                self.folded[node] = users[0]
        return affine_layer(module, norm, self.names)

    def _is_cut(self, done: list[fx.Node]) -> bool:
        """Say whether nothing but the last of ``done`` is read outside of it."""
        inside = self._with_folded(done)
        return all(set(node.users) <= inside for node in done[:-1])

    def _with_folded(self, done: list[fx.Node]) -> set[fx.Node]:
        """Return ``done`` and the layers that are folded into norms among them."""
        return {*done, *(layer for layer, norm in self.folded.items() if norm in done)}

    def _is_small(self, rest: list[fx.Node]) -> bool:
        """Say whether ``rest`` is a head: a few operations, linear layers among them at most."""
        called = {self.modules[str(node.target)] for node in rest if node.op == "call_module"}
        layers = {
            m
            for module in called
            for m in module.modules()
            if any(True for _ in m.parameters(recurse=False))
        }
        return (
            len(rest) < _LARGEST_REST
            and all(type(m) is nn.Linear for m in layers)
            and len(layers) <= _MOST_LINEAR
        )

    def _trained(self, rest: list[fx.Node]) -> tuple[str, ...]:
        """Return the names of the trained parameters that ``rest`` reads."""
        found: dict[str, None] = {}
        for node in rest:
            owned: list[Any] = []
            if node.op == "call_module":
                owned = list(self.modules[str(node.target)].parameters())
            elif node.op == "get_attr":
                owned = [attribute(self.root, str(node.target))]
            found |= {self.names[id(p)]: None for p in owned if id(p) in self.names}
        return tuple(found)

    def _in_turn(self, features: fx.Node, rest: list[fx.Node]) -> Callable[[Tensor], Any]:
        """Return the network from ``features`` on: one operation after the other.

        Not an ``fx.GraphModule``, for which torch writes code that it keeps as long as it lives.
        """

        *operations, output = rest

        def function(value: Tensor) -> Any:
            known: dict[fx.Node, Any] = {features: value}
            for node in operations:
                args, kwargs = with_values((node.args, dict(node.kwargs)), known)
                target: Any = node.target
                if node.op == "get_attr":
                    known[node] = attribute(self.root, target)
                elif node.op == "call_module":
                    known[node] = self.modules[target](*args, **kwargs)
                elif node.op == "call_method":
                    known[node] = getattr(args[0], target)(*args[1:], **kwargs)
                else:
                    known[node] = target(*args, **kwargs)
            return with_values(output.args[0], known)

        return function


def _without_inplace(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return ``module`` as a function that leaves its input alone."""
    if getattr(module, "inplace", False):
        return lambda x: module(x.clone())
    return module


def _is_zero_pad(node: fx.Node) -> bool:
    mode = node.kwargs.get("mode", node.args[2] if len(node.args) > 2 else "constant")
    value = node.kwargs.get("value", node.args[3] if len(node.args) > 3 else 0)
    return mode == "constant" and not value


def _keeps_the_batch(index: Any) -> bool:
    first = index[0] if isinstance(index, tuple) else index
    return first == slice(None) or (first is Ellipsis and len(index) > 1)
