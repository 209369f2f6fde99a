"""Reading a network that ``torch.fx`` traces: operations by their formulas, or by torch's graph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from spectra.products.layers.from_graph import Fixed, GraphLayer
from spectra.products.layers.interface import Layer
from spectra.products.layers.linear_maps import LinearMap
from spectra.products.reading.calls import (
    ATTRIBUTES,
    Call,
    Source,
    attribute,
    does_nothing,
    in_place,
    is_query,
    sources_of,
    with_values,
)
from spectra.products.reading.known_layers import known_layer
from spectra.products.reading.trace import Step, Trace
from spectra.products.tangent.affine_modules import affine_layer, is_affine, is_folded, ring_before

_SEVERAL = (
    "chunk", "split", "unbind", "tensor_split", "topk", "sort", torch.chunk, torch.split,
    torch.unbind, torch.tensor_split, torch.topk, torch.sort, torch.var_mean, torch.std_mean,
)  # fmt: skip
_RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)


def read_graph(root: nn.Module, graph: fx.Graph, names: Mapping[int, str]) -> Trace | None:
    """Read a traced network, in eval mode; None where no parameter moves a single output.

    The features are the outputs; the rest does nothing.

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
        self.steps: list[Step] = []
        self.values: dict[fx.Node, str] = {}
        self.moving: set[str] = set()
        self.parameters: dict[str, str] = {}
        self.constants: dict[str, Tensor] = {}
        # Operations that return several values: each is done where one of those is read.
        self.several: set[fx.Node] = set()
        # Batch norms that are folded into the layer before them.
        self.folded: set[fx.Node] = set()

    def read(self) -> Trace | None:
        batch, output = self.nodes[0], self.nodes[-1].args[0]
        if batch.op != "placeholder" or not isinstance(output, fx.Node):
            return None
        needed = _needed(output)
        if self._overwrites(needed) or any(self._is_hooked(node) for node in needed):
            return None
        self.values[batch] = batch.name
        for node in self.nodes[1:-1]:
            if node in needed and node not in self.folded:
                self._read(node)
        if output in self.several or self.values[output] not in self.moving:
            return None
        return Trace(
            tuple(self.steps),
            batch.name,
            self.values[output],
            nn.Identity(),
            parameters=self.parameters,
            constants=self.constants,
            calls_modules=any(
                node.op == "call_module"
                and not type(self.modules[str(node.target)]).__module__.startswith("torch.")
                for node in needed
            ),
        )

    def _overwrites(self, needed: set[fx.Node]) -> bool:
        """Say whether an operation overwrites a value that is read afterwards, or by nobody."""
        place = {node: i for i, node in enumerate(self.nodes)}
        for node in self.nodes:
            module = self.modules.get(str(node.target)) if node.op == "call_module" else None
            if not in_place(node, module):
                continue
            before = [n for n in sources_of(node.args) if n.op != "get_attr"]
            if node not in needed or not before:
                return True
            if any(place[user] > place[node] for user in before[0].users):
                return True
        return False

    def _is_hooked(self, node: fx.Node) -> bool:
        """Say whether functions of somebody's run before or after a module, and may change it."""
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        if module is None:
            return False
        return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)

    def _read(self, node: fx.Node) -> None:
        """Make the step of a node, or find that it is another value under a new name."""
        if node.op == "get_attr":
            self._own_tensor(node)
            return
        call = self._call(node)
        if call is None:
            self.several.add(node)
            return
        module = call.module
        moved = any(self.values[n] in self.moving for n in call.sources)
        owned = [] if module is None else [p for p in module.parameters() if id(p) in self.names]
        if (not moved and not owned) or is_query(call):
            self._add(node, Fixed(self._function(node, call.sources)), call.sources, moves=False)
        elif does_nothing(call):
            self.values[node] = self.values[call.args[0]]
        elif module is not None and is_affine(module) and call.takes_one():
            norm = self._norm_after(node)
            if norm is None and type(module) is nn.Linear:
                self._add_known(node, call)
            else:
                self._add_affine(node, module, norm)
        else:
            self._add_known(node, call)

    def _call(self, node: fx.Node) -> Call | None:
        """Return what ``node`` does; None where it returns several values that move."""
        base, item = node, list[Any]()
        while base.op == "call_function" and base.target in (operator.getitem, getattr):
            inner = base.args[0]
            if not isinstance(inner, fx.Node) or inner not in self.several:
                break
            item.insert(0, base.args[1])
            base = inner
        module = self.modules[str(base.target)] if base.op == "call_module" else None
        target: Any = base.target if module is None else type(module)
        sources = self._sources(base)
        call = Call(target, base.args, base.kwargs, module, tuple(item))
        moved = any(self.values[n] in self.moving for n in sources)
        if module is not None:
            moved = moved or any(id(p) in self.names for p in module.parameters())
        if moved and self._returns_several(node, call):
            return None
        if set(sources) != set(call.sources):  # an operation reads all that another one returned
            return Call(_everything, tuple(sources), {}, None, ())
        return call

    def _sources(self, node: fx.Node) -> list[fx.Node]:
        """Return the values that ``node`` reads, through operations that return several."""
        found: dict[fx.Node, None] = {}
        for source in node.all_input_nodes:
            for inner in self._sources(source) if source in self.several else [source]:
                found.setdefault(inner)
        return list(found)

    def _returns_several(self, node: fx.Node, call: Call) -> bool:
        """Say whether ``node`` is a tuple, as a module of which only items are read may be."""
        if call.item:
            return call.target is nn.LSTM and call.item == (1,)
        if call.target in (*_SEVERAL, *_RECURRENT, nn.MultiheadAttention):
            return True
        if node.op != "call_module" and call.target not in ("max", "min", torch.max, torch.min):
            return False
        return bool(node.users) and all(
            user.target in (operator.getitem, getattr)
            and user.args[0] is node
            and isinstance(user.args[1], (int, str))
            and user.args[1] not in ATTRIBUTES
            for user in node.users
        )

    def _own_tensor(self, node: fx.Node) -> None:
        """Take a tensor of the network's own as a value; whatever else is an attribute too."""
        self.values[node] = self._named_tensor(attribute(self.root, str(node.target)), node.name)

    def _named_tensor(self, tensor: Any, name: str) -> str:
        trained = self.names.get(id(tensor))
        if trained is None:
            self.constants[name] = tensor
            return name
        value = f"parameter {trained}"
        self.parameters[value] = trained
        self.moving.add(value)
        return value

    def _add(
        self, node: fx.Node, layer: Layer, inputs: list[fx.Node] | list[str], *, moves: bool = True
    ) -> None:
        names = tuple(self.values[i] if isinstance(i, fx.Node) else i for i in inputs)
        self.steps.append(Step(layer, names, node.name))
        self.values[node] = node.name
        if moves:
            self.moving.add(node.name)

    def _norm_after(self, node: fx.Node) -> nn.Module | None:
        """Return the batch norm that alone reads ``node`` and folds into it."""
        users = list(node.users)
        if len(users) != 1 or users[0].op != "call_module":
            return None
        after = self.modules[str(users[0].target)]
        return after if is_folded(after) else None

    def _add_affine(self, node: fx.Node, module: nn.Module, norm: nn.Module | None) -> None:
        source, ring = self.values[node.all_input_nodes[0]], ring_before(module)
        if ring is not None:
            inner = f"{node.name} ring"
            self.steps.append(Step(LinearMap(ring), (source,), inner))
            source = inner
        self._add(node, affine_layer(module, norm, self.names), [source])
        if norm is not None:
            (after,) = node.users
            self.folded.add(after)
            self.values[after] = node.name

    def _add_known(self, node: fx.Node, call: Call) -> None:
        known = known_layer(call)
        if known is not None:
            self._add(node, known.layer, [self._source(node, call, s) for s in known.inputs])
            return
        sources, owned = call.sources, dict[str, Tensor]()
        if call.module is not None:
            owned = {n: p for n, p in call.module.named_parameters() if id(p) in self.names}
        read: list[Source] = [*sources, *owned]
        parameters = [*[None] * len(sources), *owned.values()]
        layer = GraphLayer(self._function(node, sources), parameters)
        self._add(node, layer, [self._source(node, call, s) for s in read])

    def _source(self, node: fx.Node, call: Call, source: Source) -> str:
        """Return the value that a layer takes."""
        if isinstance(source, fx.Node):
            return self.values[source]
        return self._named_tensor(attribute(call.module, source), f"{node.name} {source}")

    def _function(self, node: fx.Node, sources: list[fx.Node]) -> Callable[..., Any]:
        """Return ``node`` as a function of the ``sources``; it ignores further values."""

        def function(*given: Any) -> Any:
            return self._evaluated(node, dict(zip(sources, given, strict=False)))

        return function

    def _evaluated(self, node: fx.Node, known: dict[fx.Node, Any]) -> Any:
        for source in node.all_input_nodes:
            if source not in known:
                known[source] = self._evaluated(source, known)
        args, kwargs = with_values((node.args, dict(node.kwargs)), known)
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        if args and isinstance(args[0], Tensor) and in_place(node, module):
            args = (args[0].clone(), *args[1:])
        if module is not None:
            return module(*args, **kwargs)
        if node.op == "call_method":
            name = "reshape" if node.target == "view" and len(args) > 1 else str(node.target)
            return getattr(args[0], name)(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]


def _everything() -> None:
    """Stand for an operation that reads all that another one returned."""


def _needed(output: fx.Node) -> set[fx.Node]:
    """Return the nodes that ``output`` depends on, itself among them."""
    found, left = {output}, [output]
    while left:
        for node in left.pop().all_input_nodes:
            if node not in found:
                found.add(node)
                left.append(node)
    return found
