"""The network inside what frameworks wrap around it."""

from torch import nn

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
