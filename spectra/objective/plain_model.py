"""The network inside what frameworks wrap around it, in one precision."""

import torch
from torch import Tensor, nn

from spectra.errors import InputError


def plain_model(model: nn.Module) -> nn.Module:
    """Return the network inside the wrappers of ``torch.compile`` and of data parallelism.

    Raises:
        InputError: ``model`` is no module.

    >>> network = nn.Linear(2, 2)
    >>> plain_model(nn.DataParallel(network)) is network
    True
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    while True:
        inner = getattr(model, "_orig_mod", None)  # torch.compile's
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def in_precision(
    model: nn.Module, dtype: torch.dtype, device: torch.device | str | None = None
) -> nn.Module:
    """Put the tensors of ``model`` into ``dtype``, complex ones into the complex type of that size.

    ``nn.Module.to`` would keep the real part alone of a complex buffer.

    Args:
        model: changed in place.
        dtype: float32 or float64; integers and truth values stay what they are.
        device: where they go; None: where they are.

    Raises:
        InputError: a parameter is complex.
    """
    for name, parameter in model.named_parameters():
        if parameter.is_complex():
            raise InputError(
                f"parameter {name} is complex, and the Hessian is of real ones; keep its real and "
                "imaginary parts (torch.view_as_real) and join them in forward"
            )

    def converted(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(device=device, dtype=dtype.to_complex())
        return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)

    return model._apply(converted)
