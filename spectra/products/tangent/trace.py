"""Reading a network as layers with known tangents, and a rest that is left to torch."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from spectra.objective.network.as_found import left_as_found
from spectra.products.layers.interface import Layer
from spectra.products.layers.linear_maps import LinearMap, MaxPool
from spectra.products.layers.pointwise import Sum
from spectra.products.tangent.affine import LinearLayer
from spectra.products.tangent.convolution import Convolution
from spectra.products.tangent.flat_order import AffineParts, Norm
from spectra.products.tangent.known_layers import Call, known_layer

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_LINEAR_MODULES = (
    nn.Identity, nn.Flatten, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.ZeroPad2d, *_DROPOUTS,
)  # fmt: skip
_LINEAR = (torch.flatten, torch.mean, F.avg_pool2d, F.adaptive_avg_pool2d, operator.getitem, F.pad)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
_METHODS = ("view", "reshape", "flatten", "mean", "contiguous", "size")


@dataclass(frozen=True)
class Step:
    """A layer, where its inputs come from, and the name of what it makes."""

    layer: Layer
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Trace:
    """A network as steps from the images to ``features``, and the rest.

    Attributes:
        steps: in the order of computation.
        image: name of the images.
        features: name of the value that the rest reads.
        rest: maps features to outputs.
        rest_names: names, in the network, of the rest's trainable parameters.
    """

    steps: tuple[Step, ...]
    image: str
    features: str
    rest: nn.Module
    rest_names: tuple[str, ...]


def trace(model: nn.Module) -> Trace | None:
    """Read ``model``, in eval mode; None where it is not made of known layers.

    The steps are the longest leading part that is made of known layers and hands on one value;
    what comes after it (a head that normalises, say) may be anything, but no convolution.
    """
    if model.training:
        return None
    try:
        with left_as_found(model):
            graph = fx.symbolic_trace(model)
    except Exception:  # whatever a stranger's forward pass raises when it is traced
        return None
    return _Reader(graph).read()


class _Reader:
    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.nodes = list(graph.graph.nodes)
        self.modules = dict(graph.named_modules())
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
        if not any(isinstance(step.layer, Convolution | LinearLayer) for _, step in steps):
            return None
        features = steps[-1][0]
        done = {node for node, _ in steps} | set(self.folded)
        rest = self._rest(features, done)
        if any(isinstance(module, _CONVOLUTIONS) for module in rest.modules()):
            return None
        names = tuple(n for n, p in rest.named_parameters() if p.requires_grad)
        return Trace(tuple(step for _, step in steps), images[0].name, features.name, rest, names)

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
        known = known_layer(Call(node.target, node.args, node.kwargs))
        if known is not None:
            return known.layer
        call = self._call(node)
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
        if type(module) in (*_CONVOLUTIONS, nn.Linear):
            return self._affine(node, module)
        known = known_layer(Call(type(module), node.args, node.kwargs, module))
        if known is not None:
            return known.layer
        if isinstance(module, _MAX_POOLS):
            return MaxPool(module)
        return LinearMap(module) if isinstance(module, _LINEAR_MODULES) else None

    def _affine(self, node: fx.Node, module: nn.Module) -> Layer | None:
        if isinstance(module, _CONVOLUTIONS) and (
            module.padding_mode != "zeros" or isinstance(module.padding, str)
        ):
            return None
        names = _parameter_names(module, str(node.target), weight="weight", bias="bias")
        users, norm = list(node.users), None
        if len(users) == 1 and users[0].op == "call_module":
            after = self.modules[str(users[0].target)]
            if isinstance(after, Norm) and after.track_running_stats:
                norm = after
                self.folded[node] = users[0]
                names |= _parameter_names(after, str(users[0].target), gamma="weight", beta="bias")
        if isinstance(module, _CONVOLUTIONS):
            return Convolution(AffineParts(names, module, norm))
        if isinstance(module, nn.Linear):
            return LinearLayer(AffineParts(names, module, norm))
        return None

    def _is_cut(self, done: list[fx.Node]) -> bool:
        """Say whether nothing but the last of ``done`` is read outside of it."""
        inside = set(done) | set(self.folded)
        return all(set(node.users) <= inside for node in done[:-1])

    def _rest(self, features: fx.Node, done: set[fx.Node]) -> fx.GraphModule:
        """Return the network from ``features`` on, under the names of its parameters."""
        graph = fx.Graph()
        copies = {features: graph.placeholder("features")}
        for node in self.nodes:
            if node not in done and node.op != "placeholder":
                copies[node] = graph.node_copy(node, lambda n: copies[n])
        return fx.GraphModule(self.graph, graph)


def _parameter_names(module: nn.Module, path: str, **kinds: str) -> dict[str, str]:
    """Return the full names of a module's trainable parameters by what they are called here."""
    found = {}
    for kind, name in kinds.items():
        parameter = getattr(module, name)
        if parameter is not None and parameter.requires_grad:
            found[kind] = f"{path}.{name}"
    return found


def _is_zero_pad(node: fx.Node) -> bool:
    mode = node.kwargs.get("mode", node.args[2] if len(node.args) > 2 else "constant")
    value = node.kwargs.get("value", node.args[3] if len(node.args) > 3 else 0)
    return mode == "constant" and not value


def _keeps_the_batch(index: Any) -> bool:
    first = index[0] if isinstance(index, tuple) else index
    return first == slice(None) or (first is Ellipsis and len(index) > 1)
