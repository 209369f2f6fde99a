"""A network of one argument, a batch, and of one answer, its outputs as a tensor."""

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spectra.errors import InputError, SpectraError, first_line
from spectra.objective.samples.input_tree import InputTree, Samples, described, forms, select
from spectra.objective.samples.outputs import OutputPlace, find_outputs
from spectra.system.allocator import out_of_memory

logger = logging.getLogger(__name__)

# Such as ``lambda model, batch: model(pixel_values=batch).logits``.
Forward = Callable[[nn.Module, Any], Any]


class WithForward(nn.Module):
    """``forward(model, batch)`` as a network of the parameters of ``model``, by their own names.

    It has no submodule ``model``, which would put a prefix before each name, but the very tables of
    parameters, buffers and submodules that ``model`` has. So what replaces a parameter in one of
    them, as ``torch.func.functional_call`` does, or in a copy of one of them, does in both.

    Args:
        model: of which parameters and buffers are.
        forward: makes an answer of model and batch.
        outputs: where the outputs, (n, C), are in that.

    Raises:
        InputError: ``forward`` is no function.
    """

    def __init__(
        self, model: nn.Module, forward: Forward, outputs: OutputPlace | None = None
    ) -> None:
        super().__init__()
        if not callable(forward):
            raise InputError(f"forward must be a function of model and images, got {forward!r}")
        self._parameters, self._buffers = model._parameters, model._buffers
        self._modules = model._modules
        self._non_persistent_buffers_set = model._non_persistent_buffers_set
        # Past nn.Module, which would take it for a submodule.
        self.__dict__["model"], self.__dict__["function"] = model, forward
        self.__dict__["outputs"] = outputs or OutputPlace()
        self.training = model.training

    def forward(self, batch: Any) -> Any:
        """Return what the function makes of the network and the batch."""
        return self.__dict__["outputs"].take(
            self.__dict__["function"](self.__dict__["model"], batch)
        )

    def named_modules(
        self,
        memo: set[nn.Module] | None = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, nn.Module]]:
        """Yield the modules of the network by its own names, itself in the place of this one.

        So who traces this, or puts back what a forward pass changes, finds the network.
        """
        yield from self.__dict__["model"].named_modules(memo, prefix, remove_duplicate)

    def train(self, mode: bool = True) -> "WithForward":
        """Set the mode of the network, and of this."""
        self.__dict__["model"].train(mode)
        self.training = mode
        return self


@dataclass(frozen=True)
class _Whole:
    """A call with the batch as one argument."""

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        return model(batch)


@dataclass(frozen=True)
class _ByKeyword:
    """A call with parts of the batch as arguments of their own names."""

    names: tuple[str, ...]

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        return model(**{name: batch[name] for name in self.names})


@dataclass(frozen=True)
class _ByPosition:
    """A call with the parts of the batch as arguments in their order."""

    count: int

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        return model(*(batch[i] for i in range(self.count)))


def network_of(model: nn.Module, samples: Samples, forward: Forward | None = None) -> nn.Module:
    """Return ``model`` as a network of one argument, a batch, and one answer, its outputs (n, C).

    It is ``model`` itself where that takes a tensor and returns one. How it is called, and which of
    the tensors that it returns are taken, is decided here, on two samples, and said where there was
    a choice. A tuple or list goes to ``model(*batch)``, a dictionary to ``model(**batch)`` without
    what the network has no argument for, else, and all other samples, to ``model(batch)``.

    Cost: a forward pass of two samples for each way to call it that is tried.

    Args:
        model: in eval mode, where ``samples`` are; not modified.
        samples: n of them.
        forward: makes the answer of model and batch instead.

    Raises:
        InputError: the network cannot take them, or returns no outputs for each.
    """
    batch = select(samples, torch.arange(2) % len(samples))[:]
    calls = [forward] if forward is not None else list(_calls(model, samples))
    refused: Exception | None = None
    for call in calls:
        named = WithForward(model, call)
        try:
            with torch.no_grad():
                answer = named(batch)
        except TypeError as error:  # perhaps not the arguments that it takes
            refused = refused or error
            continue
        except Exception as error:  # whatever a stranger's forward pass raises
            if out_of_memory(error) or isinstance(error, SpectraError):
                raise
            raise _cannot_take(samples, forward, error) from error
        outputs = find_outputs(answer, 2)
        if outputs.beside:
            _say_once(str(outputs), ", ".join(outputs.beside))
        if isinstance(call, _Whole) and not outputs.steps:
            return model
        return WithForward(model, call, outputs)
    assert refused is not None
    raise _cannot_take(samples, forward, refused) from refused


def outputs_of_single(model: nn.Module, samples: Samples) -> Tensor:
    """Return the outputs of the first sample, by itself."""
    with torch.no_grad():
        found: Tensor = model(samples[:1])
    return found


def _calls(model: nn.Module, samples: Samples) -> Iterator[Forward]:
    """Yield the ways to call ``model``, the likeliest first."""
    if isinstance(samples, InputTree) and not isinstance(model, WithForward):
        tree = samples.tree
        if isinstance(tree, dict):
            yield _ByKeyword(_known_names(model, tuple(map(str, tree))))
        elif isinstance(tree, (tuple, list)):
            yield _ByPosition(len(tree))
    yield _Whole()


def _known_names(model: nn.Module, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of ``names`` that the network has arguments for; say which others there are."""
    try:
        arguments = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):  # one that Python cannot look into
        return names
    if any(a.kind is inspect.Parameter.VAR_KEYWORD for a in arguments.values()):
        return names
    known = tuple(name for name in names if name in arguments)
    if not known:
        return names
    for name in names:
        if name not in known:
            logger.warning("input %s is left out: the network has no such argument", name)
    return known


def _cannot_take(samples: Samples, forward: Forward | None, error: Exception) -> InputError:
    said = f"{type(error).__name__}: {first_line(error)}"
    if forward is not None:
        return InputError(f"forward= fails: {said}; inputs are {described(samples)}")
    kinds = [dtype for dtype, _ in forms(samples).values()]
    hint = ""
    if not any(kind.is_floating_point for kind in kinds):
        hint = f" (images must be normalised floats, got {kinds[0]})"
    return InputError(
        f"the network cannot take these inputs{hint}: {said}; inputs are {described(samples)}; "
        "give others, or forward=, such as lambda model, batch: model(batch)"
    )


@functools.cache
def _say_once(taken: str, beside: str) -> None:
    logger.warning(
        "the network returns several tensors: %s is taken as its outputs, beside %s; give forward= "
        "to choose another",
        taken,
        beside,
    )
