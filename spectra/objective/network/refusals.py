"""Networks that cannot be computed with, or have other parameters than they say, in one line."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spectra.errors import InputError, OperatorError

# Tensors named in a message.
_NAMED = 4
_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def check_copyable(model: nn.Module) -> None:
    """Check that every parameter and buffer holds numbers to take derivatives at.

    Raises:
        InputError: one has no shape or no values yet, or its layer is quantized.
    """
    for path, module in model.named_modules():
        if type(module).__module__.startswith(_QUANTIZED):
            raise InputError(
                f"layer {path or type(module).__name__} is quantized ({type(module).__name__}): "
                "its weights are integers, which have no Hessian; give the network in floats"
            )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise InputError(
                f"{name} has no shape yet, for it is of a lazy layer; run the network once on some "
                "inputs, and load its weights"
            )
        if tensor.is_meta:
            raise InputError(
                f"{name} has no values, for it is on the meta device; make the network on a real "
                "device (to_empty) and load its weights"
            )
        if tensor.is_quantized:
            raise InputError(
                f"{name} is quantized: integers have no Hessian; give the network in floats"
            )


def check_registered(losses: Tensor, model: nn.Module) -> None:
    """Check that what a loss can be differentiated by is a parameter of ``model``.

    Layers in a Python list are not, so that the Hessian would lack them without a word.

    Args:
        losses: of a pass with gradients.
        model: the operator's own network.

    Raises:
        OperatorError: something else is, which the message names by where it is kept.
    """
    # By where they lie too: TorchScript makes a new object of a parameter whenever it is asked.
    known = {key for p in model.parameters() for key in (id(p), (p.data_ptr(), p.shape))}
    strangers = [
        leaf
        for leaf in _leaves(losses)
        if id(leaf) not in known and (leaf.data_ptr(), leaf.shape) not in known
    ]
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
