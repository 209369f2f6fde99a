"""What a layer is whose value, gradient and the tangents of both are written out.

Every layer is used four ways. Forward: ``value``. Backward: ``pull`` takes the cotangent δ of the
output to those of the inputs. Then, along a direction in parameter space, ``tangent`` takes the
tangents of the inputs to that of the output, and ``pull_tangent`` takes δ and its tangent dδ to the
tangents of the inputs' cotangents and of the parameters' gradients. What does not depend on the
direction is saved once, by the first two.

Notation: a value x has a tangent dx; None stands for a tangent that is zero throughout. A pass may
take K directions at once: tangents then stand one below the other on the first axis, (K n, ...)
beside values of (n, ...).

Source: Pearlmutter 1994, layer by layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectra.products.tangent.folding import Direction, Moved


@dataclass
class Saved:
    """What a layer keeps between products on one chunk of images.

    Attributes:
        inputs: values of its inputs.
        output: value of its output.
        delta: cotangent of its output.
        extra: what else the layer wants to keep.
        input_tangents: of the product in progress.
    """

    inputs: tuple[Tensor, ...]
    output: Tensor | None
    delta: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)
    input_tangents: tuple[Tensor | None, ...] = ()

    @property
    def cotangent(self) -> Tensor:
        """The cotangent of the output, for a layer that has or keeps it."""
        assert self.delta is not None
        return self.delta

    def keep(self, names: frozenset[str]) -> None:
        """Let go of what of ``inputs``, ``output`` and ``delta`` is not among ``names``."""
        if "inputs" not in names:
            self.inputs = ()
        if "output" not in names:
            self.output = None
        if "delta" not in names:
            self.delta = None

    @property
    def tensors(self) -> list[Tensor]:
        """What is kept between products."""
        kept = (*self.inputs, self.output, self.delta, *self.extra.values())
        return [t for t in kept if t is not None]


class Layer(ABC):
    """One step of a network; see the module's docstring.

    Attributes:
        keeps: what of ``inputs``, ``output`` and ``delta`` the tangent passes read; the rest is let
            go after the backward pass.
    """

    keeps: frozenset[str] = frozenset()

    @abstractmethod
    def value(self, *inputs: Tensor) -> Tensor:
        """Return the output."""

    @abstractmethod
    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangents of the ``wanted`` inputs, from ``saved.delta``."""

    @abstractmethod
    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return the tangent of the output, from ``saved.input_tangents``."""

    @abstractmethod
    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents of what :meth:`pull` returns; put the gradients into ``moved``."""


def total(*terms: Tensor | None) -> Tensor | None:
    """Return the sum of the ``terms`` that there are; None where there is none."""
    present = [t for t in terms if t is not None]
    if not present:
        return None
    result = present[0]
    for term in present[1:]:
        result = result + term
    return result


def packed(values: Tensor, order: torch.memory_format) -> Tensor:
    """Return ``values`` in memory ``order`` where they are of 2-d convolutions."""
    return values.contiguous(memory_format=order) if values.ndim == 4 else values


def with_each_direction(
    function: Callable[[Tensor, Tensor], Tensor], stacked: Tensor, values: Tensor
) -> Tensor:
    """Return an elementwise ``function`` of tangents (K n, ...) and of values (n, ...)."""
    # Where K is 1 without a view: it may change the stride of an axis of length 1, by which a
    # convolution that follows would take the memory order for another.
    if len(stacked) == len(values):
        return function(stacked, values)
    found = function(stacked.unflatten(0, (-1, len(values))), values[None])
    return found.flatten(0, 1)


def accumulate(
    cotangents: dict[str, Tensor | None],
    names: tuple[str, ...],
    pulled: list[Tensor | None],
    wanted: list[bool],
) -> None:
    """Add what a layer pulled back to the cotangents of its inputs, where they are wanted."""
    for name, value, want in zip(names, pulled, wanted, strict=True):
        if not want:
            continue
        before = cotangents.get(name)
        if before is None or value is None:
            cotangents[name] = value if before is None else before
        else:
            cotangents[name] = before + value


def in_order_of(cotangent: Tensor | None, output: Tensor | None) -> Tensor:
    """Return ``cotangent`` in the memory order of ``output``, which fast convolutions need."""
    assert cotangent is not None
    assert output is not None
    if output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last):
        return packed(cotangent, torch.channels_last)
    return cotangent
