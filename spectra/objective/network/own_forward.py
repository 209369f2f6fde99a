"""The forward pass of an operator's own copy: always from the same state, in its own terms."""

from __future__ import annotations

import copy
import inspect
import threading
import weakref
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from spectra.objective.network.forward_state import ForwardState
from spectra.objective.network.own_calls import OwnCalls, PlainCalls


class OwnForward:
    """What stands for ``module.forward`` in an operator's own copy.

    It hands a copy of the inputs on, which the network may change in place; calls torch by
    :class:`OwnCalls`; and puts back what the network keeps of a pass (caches, counters), so that
    every pass begins from the same state.

    Args:
        module: the copy, which nobody else has.
        forward: its own forward where that is an attribute of the object; None: its type's.
        dtype: of the copy.
        device: where it is.
    """

    def __init__(
        self, module: nn.Module, forward: Any, dtype: torch.dtype, device: torch.device
    ) -> None:
        # Weakly, for the module holds this: else a copy would outlive its operator until Python
        # looks for circles, which it does seldom.
        self._module = weakref.ref(module)
        self.forward = forward
        self.dtype, self.device = dtype, device
        self._state: ForwardState | None = None
        self._lock = threading.RLock()

    @property
    def module(self) -> nn.Module:
        """The copy."""
        module = self._module()
        if module is None:
            raise ReferenceError("the network of this forward pass is gone; keep a reference to it")
        return module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the network makes of its inputs."""
        args, kwargs = tree_map(_copied, (args, kwargs))
        if self._state is not None and not self._state.changes:
            return self._called(args, kwargs)
        with self._lock:  # one pass could read what another one keeps
            state = self._state = self._state or ForwardState(self.module)
            with state.put_back():
                return self._called(args, kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """What ``inspect.signature`` returns: that of the network's own forward pass."""
        return inspect.signature(self.forward or MethodType(type(self.module).forward, self.module))

    def _called(self, args: Any, kwargs: Any) -> Any:
        with OwnCalls(self.dtype, self.device), PlainCalls():
            if self.forward is not None:
                return self.forward(*args, **kwargs)
            return type(self.module).forward(self.module, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> OwnForward:
        """Return one of the copy that is being made of the network; its state is not known yet."""
        module, forward = copy.deepcopy((self.module, self.forward), memo)
        return OwnForward(module, forward, self.dtype, self.device)


def give_own_forward(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Have the forward pass of a copy be an :class:`OwnForward`; return the copy.

    Of what it is made of, no other part has one then. TorchScript, whose functions are not torch's
    in Python, keeps its own.

    Args:
        network: nobody else's, changed in place.
        dtype: of its tensors.
    """
    inner = vars(network).get("model")  # of a network with a function around it
    for module in {network, *network.modules(), *([inner] if isinstance(inner, nn.Module) else [])}:
        found = vars(module).get("forward")
        if isinstance(found, OwnForward):
            vars(module)["forward"] = found.forward
            if found.forward is None:
                del vars(module)["forward"]
    if not isinstance(network, torch.jit.ScriptModule):
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        given = vars(network).get("forward")
        vars(network)["forward"] = OwnForward(network, given, dtype, device)
    return network


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
