"""The operator's own copy of a network."""

import copy
import io
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spectra.errors import OperatorError, SpectraError
from spectra.objective.network.embeddings import make_regular
from spectra.objective.network.own_forward import give_own_forward
from spectra.objective.network.refusals import check_copyable
from spectra.objective.network.weight_norm import write_out_weight_norms
from spectra.objective.plain_model import in_precision, plain_model
from spectra.system.quiet import quiet


def own_copy(
    model: nn.Module, dtype: torch.dtype, device: torch.device | str | None = None
) -> nn.Module:
    """Return a copy of ``model`` that is computed with, in eval mode; ``model`` stays as it is.

    What the copy computes is what the network computes, in ``dtype`` and twice differentiably:

    - wrappers of ``torch.compile`` and of data parallelism are taken off, wherever they are;
    - tensors and layers that are plain attributes are converted as parameters are;
    - weight norm is computed by its formula, and embeddings are made regular functions of their
      weights, see :func:`make_regular`;
    - hooks of the backward pass, which are no part of the function, are left out;
    - its forward pass is an :class:`~spectra.objective.network.own_forward.OwnForward`.

    Args:
        model: the caller's, or a copy that this function made.
        dtype: of the copy's tensors, float32 or float64.
        device: where they go; None: where they are.

    Raises:
        InputError: a parameter is complex, quantized, or without values.
        OperatorError: the network cannot be copied.

    >>> network = nn.Sequential(nn.DataParallel(nn.Linear(2, 2)), nn.Dropout())
    >>> copied = own_copy(network, torch.float64)
    >>> [name for name, _ in copied.named_parameters()], copied[0].weight.dtype, copied[1].training
    (['0.weight', '0.bias'], torch.float64, False)
    """
    check_copyable(model)
    made, memo = _copied(model)
    if {id(p) for p in made.parameters()} & {id(p) for p in model.parameters()}:
        raise OperatorError(
            "the network cannot be copied: copy.deepcopy of it, or of a layer, hands out the "
            "caller's own parameters; see its __deepcopy__"
        )
    in_precision(made, dtype, device)
    parts = [part for part in memo.values() if isinstance(part, Tensor)]
    for tensor in parts:  # parameters and buffers are there already
        wanted = _precision_of(tensor, dtype)
        if tensor.dtype != wanted or (device is not None and tensor.device != torch.device(device)):
            tensor.data = tensor.data.to(device=device, dtype=wanted)
    for module in [part for part in memo.values() if isinstance(part, nn.Module)]:
        module._backward_hooks.clear()
        module._backward_pre_hooks.clear()
        module.eval()  # one that overrides train() may keep its mode
        module.training = False
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            make_regular(module)
    write_out_weight_norms(made)
    return give_own_forward(made, dtype)


def _copied(model: nn.Module) -> tuple[nn.Module, dict[int, Any]]:
    """Return a deep copy, and all that was copied by the ``id`` of what it was copied of."""
    memo: dict[int, Any] = {}
    try:
        try:
            return _deep_copy(model, memo), memo
        except Exception:
            # Locks, files and the like: the copy has the same ones.
            memo = {id(value): value for value in _shared_attributes(model)}
            return _deep_copy(model, memo), memo
    except SpectraError:
        raise
    except Exception as error:
        raise OperatorError(
            f"the network cannot be copied, which keeps the caller's as it is: "
            f"{' '.join(str(error).split())[:160]}; take out the attribute that copy.deepcopy "
            "fails at"
        ) from error


def _deep_copy(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    with _CopiesOfComputedTensors():
        for module in model.modules():
            inner = plain_model(module)
            if inner is not module:  # who copies the wrapper gets a copy of what is inside
                memo[id(module)] = copy.deepcopy(inner, memo)
            elif isinstance(module, torch.jit.ScriptModule) and id(module) not in memo:
                memo[id(module)] = _script_copy(module)
        made: nn.Module = copy.deepcopy(model, memo)
    return made


def _script_copy(module: torch.jit.ScriptModule) -> nn.Module:
    """Return a copy of TorchScript; a deep copy would compute with the parameters of ``module``."""
    file = io.BytesIO()
    with quiet():  # torch deprecates it
        torch.jit.save(module, file)
        file.seek(0)
        made: nn.Module = torch.jit.load(file)
    return made


class _CopiesOfComputedTensors(TorchFunctionMode):
    """Within it, a deep copy of a tensor that has a history is a leaf of the same value.

    One that requires a gradient: what still computes with it is found out by that.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = tensor.detach().clone().requires_grad_()
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _precision_of(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    if tensor.is_complex():
        return dtype.to_complex()
    return dtype if tensor.is_floating_point() else tensor.dtype


def _shared_attributes(model: nn.Module) -> list[Any]:
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
