"""Tensors that a loss is a function of, though they are none of the network's parameters."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from spectra.errors import OperatorError

_NAMED = 4


def check_registered(losses: Tensor, model: nn.Module) -> None:
    """Check that what a loss can be differentiated by is a parameter of ``model``.

    Layers in a Python list are not, so that the Hessian would lack them without a word.

    Args:
        losses: of a pass with gradients.
        model: the operator's own network.

    Raises:
        OperatorError: something else is, which the message names by where it is kept.
    """
    known = {id(p) for p in model.parameters()}
    strangers = [leaf for leaf in _leaves(losses) if id(leaf) not in known]
    if not strangers:
        return
    places = {id(tensor): path for path, tensor in _kept(model, "", set())}
    shown = [places.get(id(s), f"one of shape {tuple(s.shape)}") for s in strangers[:_NAMED]]
    more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
    raise OperatorError(
        f"the loss depends on trainable tensors that are no parameters of the network: "
        f"{', '.join(shown)}{more}; keep layers in nn.ModuleList or nn.ModuleDict and tensors in "
        "nn.Parameter, compute other values in forward, and let forward= use the model that it "
        "is given; what is not to be trained needs requires_grad_(False)"
    )


def _leaves(losses: Tensor) -> list[Tensor]:
    """Return the tensors with requires_grad at the ends of the graph of ``losses``."""
    if losses.grad_fn is None:
        return [losses] if losses.requires_grad else []
    found: list[Tensor] = []
    waiting, seen = [losses.grad_fn], {losses.grad_fn}
    while waiting:
        node = waiting.pop()
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found.append(variable)
        for after, _ in node.next_functions:
            if after is not None and after not in seen:
                seen.add(after)
                waiting.append(after)
    return found


def _kept(holder: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors in attributes of modules and in their lists and dictionaries, by place."""
    if id(holder) in seen:
        return
    seen.add(id(holder))
    if isinstance(holder, Tensor):
        yield path, holder
    elif isinstance(holder, nn.Module):
        for name, value in [*holder.named_children(), *holder._parameters.items()]:
            yield from _kept(value, f"{path}.{name}" if path else name, seen)
        for name, value in vars(holder).items():
            if not name.startswith("_"):
                yield from _kept(value, f"{path}.{name}" if path else name, seen)
    elif isinstance(holder, dict):
        for name, value in holder.items():
            yield from _kept(value, f"{path}[{name!r}]", seen)
    elif isinstance(holder, (list, tuple)):
        for index, value in enumerate(holder):
            yield from _kept(value, f"{path}[{index}]", seen)
