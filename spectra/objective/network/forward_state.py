"""What a network keeps of a forward pass, and how it is put back."""

from __future__ import annotations

import operator
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import maybe_current_level

from spectra.errors import OperatorError
from spectra.system.memory.fingerprints import fingerprint

# Of a module: what torch keeps there for itself, and tables that have their own place below.
_TORCHS_OWN = frozenset(vars(nn.Module())) | {"forward"}
# How far lists within lists are looked at. Objects of other types are left to themselves.
_DEPTH = 3
# Ours: parameters of more bytes in all are not copied to see whether a pass changes them: what
# comparing takes would be three more networks beside the operator's.
_LARGE = 2**26


class ForwardState:
    """What a forward pass can change: attributes, lists and dictionaries in them, and buffers.

    The first pass that it looks at tells whether there is anything to put back at all.

    Args:
        module: a network, as its passes are to find it.

    Attributes:
        changes: whether passes change anything; True until the first one is over.
    """

    def __init__(self, module: nn.Module) -> None:
        self.changes = True
        self._seen = False
        # Weakly: the network's own attributes hold what stands for its forward pass, which holds
        # this. They are the first table, and what stands there for the network's forward is new
        # with every pass.
        self._module = weakref.ref(module)
        self._tables: list[tuple[Any, Any]] = []
        self._take_module(module, set())
        self._own = self._tables.pop(0)[1]
        self._own.pop("forward", None)
        self._places = [
            (table, content, key, value)
            for table, content in [(None, self._own), *self._tables]
            for key, value in _items(content)
            if isinstance(value, Tensor) and value.layout == torch.strided
        ]
        self._pristine = {id(t): t.detach().clone() for *_, t in self._places}
        named = list(module.named_parameters())
        whole = sum(p.nbytes for _, p in named) <= _LARGE
        self._parameters = [(n, p, p.detach().clone()) for n, p in named] if whole else []
        seen = whole or maybe_current_level() is not None  # torch differentiates: no plain numbers
        self._prints = [] if seen else [(n, p, fingerprint(p)) for n, p in named]

    def _take_module(self, module: nn.Module, found: set[int]) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            return  # what it holds is not Python's
        self._take(vars(module), _DEPTH, found)
        self._take(module._buffers, 1, found)
        for child in module.children():
            if id(vars(child)) not in found:
                self._take_module(child, found)

    def _take(self, table: Any, depth: int, found: set[int]) -> None:
        """Remember what ``table`` holds, and what that holds in turn."""
        if id(table) in found or not depth:
            return
        found.add(id(table))
        content = dict(table) if isinstance(table, dict) else table.copy()
        self._tables.append((table, content))
        for key, value in _items(content):
            if key in _TORCHS_OWN or isinstance(value, (Tensor, type)):
                continue
            if isinstance(value, nn.Module):
                self._take_module(value, found)
            elif isinstance(value, (dict, list, set, deque)):
                self._take(value, depth - 1, found)

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """Let a pass find and leave everything as it was.

        Raises:
            OperatorError: the pass changed a parameter in place.
        """
        attributes = vars(self._module())
        if self._seen:
            # Not written over: the graph of an earlier pass may hold what that pass left.
            fresh = {key: pristine.clone() for key, pristine in self._pristine.items()}
            for table, _, key, value in self._places:
                (attributes if table is None else table)[key] = fresh[id(value)]
        forward = {"forward": attributes["forward"]} if "forward" in attributes else {}
        try:
            yield
        finally:
            own = (attributes, {**self._own, **forward})
            differs = [_restored(table, content) for table, content in [own, *self._tables]]
        if not self._seen and maybe_current_level() is None:  # not while torch differentiates
            self._look_at_tensors(attributes)
            self.changes = any(differs) or bool(self._places)
            self._seen = True

    @torch.no_grad()
    def _look_at_tensors(self, attributes: dict[str, Any]) -> None:
        """Put back what the first pass changed in place, and keep that for the next ones."""
        tensors = [t for *_, t in self._places]
        same = _all_equal([(t, self._pristine[id(t)]) for t in tensors])
        changed = {id(t) for t, equal in zip(tensors, same, strict=True) if not equal}
        self._places = [place for place in self._places if id(place[-1]) in changed]
        self._pristine = {key: t for key, t in self._pristine.items() if key in changed}
        for table, content, key, value in self._places:
            place = attributes if table is None else table
            place[key] = content[key] = self._pristine[id(value)]
        same = _all_equal([(parameter, before) for _, parameter, before in self._parameters])
        for (name, parameter, before), equal in zip(self._parameters, same, strict=True):
            if not equal:
                parameter.copy_(before)
                raise _changed(name)
        for name, parameter, known in self._prints:
            if fingerprint(parameter) != known:
                raise _changed(name)
        self._parameters, self._prints = [], []


def _changed(name: str) -> OperatorError:
    return OperatorError(
        f"the forward pass changes the parameter {name} in place; a Hessian needs fixed "
        "parameters: change it once, before, or compute a new value from it"
    )


def _items(content: Any) -> list[tuple[Any, Any]]:
    if isinstance(content, dict):
        return list(content.items())
    return [] if isinstance(content, set) else list(enumerate(content))


def _restored(table: Any, content: Any) -> bool:
    """Have ``table`` hold what ``content`` holds; return whether it held anything else."""
    if isinstance(table, dict):
        more = [key for key in table if key not in content]
        other = [key for key, value in content.items() if table.get(key, content) is not value]
        for key in more:
            del table[key]
        for key in other:
            table[key] = content[key]
        return bool(more or other)
    if isinstance(table, set):
        same = table == content
    else:
        same = len(table) == len(content) and all(map(operator.is_, table, content))
    if not same:
        table.clear()
        (table.update if isinstance(table, set) else table.extend)(content)
    return not same


def _all_equal(pairs: list[tuple[Tensor, Tensor]]) -> list[bool]:
    """Say of pairs of tensors whether they hold the same, NaN at the same places too.

    A GPU is waited for once for each type of numbers, and asked for few launches.
    """
    found = [True] * len(pairs)
    groups: dict[tuple[torch.dtype, torch.device], list[int]] = {}
    for i, (tensor, _) in enumerate(pairs):
        if tensor.numel():
            groups.setdefault((tensor.dtype, tensor.device), []).append(i)
    for (dtype, _), group in groups.items():
        suspects = group
        if dtype != torch.bool:
            apart = torch._foreach_sub([pairs[i][0] for i in group], [pairs[i][1] for i in group])
            peaks = torch.stack(torch._foreach_max(torch._foreach_abs(apart))).tolist()
            suspects = [i for i, peak in zip(group, peaks, strict=True) if peak != 0]
        for i in suspects:  # infinities are NaN apart, and so is NaN
            a, b = pairs[i]
            found[i] = bool(((a == b) | ((a != a) & (b != b))).all())
    return found
