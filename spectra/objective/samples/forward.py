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
from spectra.objective.samples.input_tree import InputTree, Samples, described, forms
from spectra.objective.samples.outputs import OutputPlace, find_outputs
from spectra.objective.samples.trees import is_branch, leaves, map_leaves
from spectra.system.allocator import out_of_memory

logger = logging.getLogger(__name__)

# Integers of more axes, (n, length), are no token ids.
_TOKENS_NDIM = 2

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
        never_alone: a lone sample is given twice, to a network that squeezes its axis away.

    Raises:
        InputError: ``forward`` is no function.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Forward,
        outputs: OutputPlace | None = None,
        *,
        never_alone: bool = False,
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
        self.__dict__["never_alone"] = never_alone
        self.training = model.training

    def forward(self, batch: Any) -> Any:
        """Return what the function makes of the network and the batch."""
        own = self.__dict__
        if own["never_alone"] and _length(batch) == 1:
            return self.forward(map_leaves(lambda x: torch.cat([x, x]), batch))[:1]
        return own["outputs"].take(own["function"](own["model"], batch))

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
class _Named:
    """A call with the whole batch as the argument of a name."""

    name: str

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        return model(**{self.name: batch})


@dataclass(frozen=True)
class _ByPosition:
    """A call with the parts of the batch as arguments in their order."""

    count: int

    def __call__(self, model: nn.Module, batch: Any) -> Any:
        return model(*(batch[i] for i in range(self.count)))


@dataclass(frozen=True)
class FittedNetwork:
    """A network, and which of the inputs that a caller has it takes.

    Attributes:
        network: of one argument, a batch, and of one answer, its outputs as a tensor.
        names: of the inputs that it takes, see :func:`part_of`; None: all that there are.
        outputs: of the two samples that it was tried on.
    """

    network: nn.Module
    names: tuple[str, ...] | None
    outputs: Tensor


def fit_network(
    model: nn.Module, samples: Samples, forward: Forward | None = None, *, second: int | None = None
) -> FittedNetwork:
    """Return ``model`` as a network of one argument, a batch, and one answer, its outputs (n, C).

    It is ``model`` itself where that takes a tensor and returns one. How it is called, and which of
    the tensors that it returns are taken, is decided here, on two samples, and said where there was
    a choice. A tuple or list goes to ``model(*batch)``, a dictionary to ``model(**batch)`` without
    what the network has no argument for, a lone input to ``model(batch)`` whatever its name; where
    it takes it in none of these ways, and for all other samples, ``model(batch)`` is called.

    Cost: a forward pass of two samples for each way to call it that is tried.

    Args:
        model: in eval mode, where ``samples`` are; not modified.
        samples: n of them.
        forward: makes the answer of model and batch instead.
        second: position of the sample that is tried beside the first; None: that after it.

    Raises:
        InputError: the network cannot take them, or returns no outputs for each.
    """
    second = 1 % len(samples) if second is None else second
    which = slice(2) if second == 1 else torch.tensor([0, second])  # a slice is no upload
    calls = [(forward, None)] if forward is not None else list(_calls(model, samples))
    refused: list[Exception] = []
    for call, names in calls:
        named = WithForward(model, call)
        try:
            with torch.no_grad():
                answer = named(part_of(samples, names)[which])
        except Exception as error:  # whatever a stranger's forward pass raises
            if out_of_memory(error) or isinstance(error, SpectraError):
                raise
            refused.append(error)
            continue
        outputs = find_outputs(answer, 2)
        if outputs.beside:
            _say_once(str(outputs), ", ".join(outputs.beside))
        found = outputs.take(answer)
        fitted = WithForward(model, call, outputs)
        if not _takes_one(fitted, part_of(samples, names)):
            fitted = WithForward(model, call, outputs, never_alone=True)
        elif isinstance(call, _Whole) and not outputs.steps:
            return FittedNetwork(model, names, found)
        return FittedNetwork(fitted, names, found)
    # A call with other arguments than the network has fails with TypeError.
    inside = [error for error in refused if not isinstance(error, TypeError)]
    reason = (inside or refused)[0]
    raise _cannot_take(samples, forward, reason) from reason


@torch.no_grad()
def _takes_one(network: nn.Module, samples: Samples) -> bool:
    """Say whether a network makes outputs of a lone sample too; they may have lost its axis."""
    try:
        found = network(samples[:1])
    except Exception as error:  # whatever a stranger's forward pass raises
        if out_of_memory(error) or isinstance(error, SpectraError):
            raise
        return False
    return isinstance(found, Tensor)


def _length(batch: Any) -> int:
    return len(next(leaf for _, leaf in leaves(batch)))


def part_of(samples: Samples, names: tuple[str, ...] | None) -> Samples:
    """Return those inputs of a dictionary that have such names, a lone one as it is."""
    if names is None or not isinstance(samples, InputTree):
        return samples
    if len(names) == 1 and not is_branch(samples.tree[names[0]]):
        lone: Samples = samples.tree[names[0]]
        return lone
    return InputTree({name: samples.tree[name] for name in names})


def _calls(model: nn.Module, samples: Samples) -> Iterator[tuple[Forward, tuple[str, ...] | None]]:
    """Yield the ways to call ``model``, the likeliest first, and the names that each takes."""
    if isinstance(samples, InputTree) and not isinstance(model, WithForward):
        tree = samples.tree
        if isinstance(tree, dict):
            names = _known_names(model, tuple(map(str, tree)))
            if len(names) == 1 and not is_branch(tree[names[0]]):
                yield _Named(names[0]), names
                yield _Whole(), names
            else:
                yield _ByKeyword(names), names
        elif isinstance(tree, (tuple, list)):
            yield _ByPosition(len(tree)), None
    yield _Whole(), None


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
            _say_unknown(name)
    return known


def _cannot_take(samples: Samples, forward: Forward | None, error: Exception) -> InputError:
    said = f"{type(error).__name__}: {first_line(error)}"
    if forward is not None:
        return InputError(f"forward= fails: {said}; inputs are {described(samples)}")
    kind, shape = next(iter(forms(samples).values()))
    hint = ""
    if not kind.is_floating_point and (len(shape) > _TOKENS_NDIM or kind == torch.uint8):
        hint = f" (images must be normalised floats, got {kind})"
    return InputError(
        f"the network cannot take these inputs{hint}: {said}; inputs are {described(samples)}; "
        "give others, or forward=, such as lambda model, batch: model(batch)"
    )


@functools.cache
def _say_unknown(name: str) -> None:
    logger.warning("input %s is left out: the network has no such argument", name)


@functools.cache
def _say_once(taken: str, beside: str) -> None:
    logger.warning(
        "the network returns several tensors: %s is taken as its outputs, beside %s; give forward= "
        "to choose another",
        taken,
        beside,
    )
