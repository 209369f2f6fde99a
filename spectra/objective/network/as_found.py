"""Running a network with other parameters, or tracing it, so that it is afterwards as it was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spectra.errors import OperatorError

# Of a module: the tables in which torch keeps what is registered.
_TABLES = ("_parameters", "_buffers", "_modules")


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Put every module's attributes back after the block: those that a forward pass replaced.

    A forward pass that keeps something of itself (a mask, the last features) keeps a symbol of it
    when it is traced, which the next pass would compute with. What it changes in place stays
    changed.
    """
    # The model itself too: one around a function has the modules of the network in it alone.
    modules = [
        module
        for module in dict.fromkeys((model, *model.modules()))
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    attributes = [dict(vars(module)) for module in modules]
    tables = [[dict(vars(module)[name]) for name in _TABLES] for module in modules]
    try:
        yield
    finally:
        for module, before, held in zip(modules, attributes, tables, strict=True):
            module.__dict__.clear()
            module.__dict__.update(before)
            for name, content in zip(_TABLES, held, strict=True):
                table = before[name]
                table.clear()
                table.update(content)


@contextmanager
def parameters_replaced(model: nn.Module, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Have ``values`` in the place of the parameters of those names inside the block.

    Wherever a parameter is, under several names too. ``torch.func.functional_call`` goes by names,
    and leaves its own tensors in a module that has two.

    Args:
        model: not called by another thread meanwhile.
        values: by the names of ``model.named_parameters()``.
    """
    replaced = {id(p): values[n] for n, p in model.named_parameters() if n in values}
    with left_as_found(model):
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if id(parameter) in replaced:
                    module._parameters[name] = replaced[id(parameter)]  # type: ignore[assignment]
        yield


class ParametersInPlace:
    """Where a network holds its parameters, to see later whether they are still there.

    Args:
        model: whose parameters are where they should be.
    """

    def __init__(self, model: nn.Module) -> None:
        self._places = [
            (f"{path}.{name}" if path else name, module._parameters, name, parameter)
            for path, module in model.named_modules()
            if not isinstance(module, torch.jit.ScriptModule)  # whose tables are not Python's
            for name, parameter in module._parameters.items()
        ]

    def check(self) -> None:
        """Raise OperatorError if something else is where a parameter was."""
        for path, table, name, parameter in self._places:
            if table.get(name) is not parameter:
                raise OperatorError(
                    f"the network's own forward pass put something else in the place of its "
                    f"parameter {path}; have it compute a local value from the parameter"
                )
