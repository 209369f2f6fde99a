"""The operator's own copy of a network."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spectra.objective.network.weight_norm import write_out_weight_norms
from spectra.objective.plain_model import in_precision, plain_model


def own_copy(
    model: nn.Module, dtype: torch.dtype, device: torch.device | str | None = None
) -> nn.Module:
    """Return a copy of ``model`` that is computed with, in eval mode; ``model`` stays as it is.

    Wrappers of ``torch.compile`` and of data parallelism are taken off wherever in the network they
    are. A tensor that was computed from others, as ``torch.nn.utils.weight_norm`` leaves one in a
    layer, is copied as a number. Weight norm is computed by its formula.

    Args:
        model: the caller's, or a copy that this function made.
        dtype: of the copy's tensors, float32 or float64.
        device: where they go; None: where they are.

    Raises:
        InputError: a parameter is complex.

    >>> network = nn.Sequential(nn.DataParallel(nn.Linear(2, 2)), nn.Dropout())
    >>> copied = own_copy(network, torch.float64)
    >>> [name for name, _ in copied.named_parameters()], copied[0].weight.dtype, copied[1].training
    (['0.weight', '0.bias'], torch.float64, False)
    """
    memo: dict[int, Any] = {}
    with _CopiesOfComputedTensors():
        for module in model.modules():
            inner = plain_model(module)
            if inner is not module:  # who copies the wrapper gets a copy of what is inside
                memo[id(module)] = copy.deepcopy(inner, memo)
        made: nn.Module = copy.deepcopy(model, memo)
    in_precision(made, dtype, device)
    made.eval()  # one that overrides train() may return nothing
    return write_out_weight_norms(made)


class _CopiesOfComputedTensors(TorchFunctionMode):
    """Within it, a deep copy of a tensor that has a history is the number without it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = tensor.detach().clone()
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))
