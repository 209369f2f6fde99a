"""What of a network can be copied and computed with, and the line that says what cannot."""

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spectra.errors import InputError

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


def shared_attributes(model: nn.Module) -> list[Any]:
    """Return the attributes of modules that cannot be copied: locks, files, generators."""
    found: list[Any] = []
    for module in model.modules():
        registered = {id(part) for part in (module._parameters, module._buffers, module._modules)}
        for value in vars(module).values():
            if id(value) in registered or isinstance(value, (Tensor, nn.Module)):
                continue
            try:
                copy.deepcopy(value)
            except Exception:
                found.append(value)
    return found
