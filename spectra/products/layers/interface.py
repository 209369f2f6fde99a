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
from typing import Any

import torch
from torch import Tensor

from spectra.products.tangent.folding import Direction, Moved


@dataclass
class KeptGraph:
    """Torch's graph of Jᵀ u of one operation, kept between products.

    Attributes:
        output: of the operation, as a function of ``leaves``.
        leaves: what it is differentiated by.
        dual: u.
        pulled: Jᵀ u, by leaf; None where the output does not depend on one.
        nbytes: that the graph holds.
        bent: of the product in progress, the derivatives of Jᵀ u by the leaves along a direction.
    """

    output: Tensor
    leaves: dict[int, Tensor]
    dual: Tensor
    pulled: dict[int, Tensor]
    nbytes: int
    bent: list[Tensor | None] = field(default_factory=list)


@dataclass
class Saved:
    """What a layer keeps between products on one chunk of images.

    Attributes:
        inputs: values of its inputs.
        output: value of its output.
        delta: cotangent of its output.
        extra: what else the layer wants to keep.
        input_tangents: of the product in progress.
        shapes: of the inputs, which stay when the inputs are let go.
        others: what a layer keeps of inputs that nothing moves, such as sizes.
        graph: what a layer that torch's graph serves keeps.
    """

    inputs: tuple[Tensor, ...]
    output: Tensor | None
    delta: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)
    input_tangents: tuple[Tensor | None, ...] = ()
    shapes: tuple[torch.Size, ...] = ()
    others: tuple[Any, ...] = ()
    graph: KeptGraph | None = None

    def __post_init__(self) -> None:
        self.shapes = tuple(getattr(x, "shape", torch.Size()) for x in self.inputs)

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
        kept = (*self.inputs, self.output, self.delta, *self.extra.values(), *self.others)
        return [t for t in kept if isinstance(t, Tensor)]


class Layer(ABC):
    """One step of a network; see the module's docstring.

    Attributes:
        keeps: what of ``inputs``, ``output`` and ``delta`` the tangent passes read; the rest is let
            go after the backward pass.
        keeps_the_same: whether :meth:`pull` keeps the same where an input is not wanted: then it is
            not asked for the gradients of parameters, which nothing reads.
        adds_in_place: whether passes write over memory of their own, which a map over several
            losses (:mod:`spectra.products.block`) cannot.
    """

    keeps: frozenset[str] = frozenset()
    keeps_the_same = False
    adds_in_place = True

    def add_product(self, before: Tensor, left: Tensor, right: Tensor, *, value: int = 1) -> Tensor:
        """Return before + value left right, in the memory of ``before`` where that may be."""
        add = before.addcmul_ if self.adds_in_place else before.addcmul
        return add(left, right, value=value)

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

    def second_derivative(
        self, saved: Saved, direction: Direction, wanted: Sequence[bool], each: int = 1
    ) -> Tensor | None:
        """Return <δ, d²f/dt²> where parameters and inputs move along a direction.

        Args:
            saved: what was saved, with the tangents of the inputs.
            direction: in parameter space.
            wanted: inputs that move.
            each: images whose terms are told apart; 1: none are. The first axis of every value is
                then that of the images, and no parameter but a folded layer's moves.

        Where dδ is 0, :meth:`pull_tangent` returns the product with dx of the second derivatives of
        <δ, f> by the inputs; a layer with parameters of its own adds what they do.

        Returns:
            It and the sum of the sizes of its terms, (2, K each), float64; None where it is 0.
        """
        pulled = self.pull_tangent(saved, None, direction, Moved(), wanted)
        pairs = [
            inner((dx, p), direction.count * each)
            for dx, p in zip(saved.input_tangents, pulled, strict=True)
            if dx is not None and p is not None
        ]
        return total(*pairs)


def inner(pair: tuple[Tensor, Tensor], count: int = 1) -> Tensor:
    """Return <a_k, b_k> and Σ |a_k b_k|, shape (2, K), float64, for K of each, (K n, ...)."""
    return sums_of((pair[0] * pair[1]).reshape(count, -1))


def sums_of(terms: Tensor) -> Tensor:
    """Return the sums of terms (K, ...) and those of their sizes, (2, K), float64."""
    return torch.stack([terms.sum(1, dtype=torch.float64), terms.abs().sum(1).double()])


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
    if values.ndim == 0 or len(stacked) == len(values):
        return function(stacked, values)
    found = function(stacked.unflatten(0, (-1, len(values))), values[None])
    return found.flatten(0, 1)


def by_direction(
    function: Callable[[Tensor], Tensor], stacked: Tensor, shape: torch.Size, count: int
) -> Tensor:
    """Return ``function`` of each of K tangents, (K n, ...), of a value of this shape."""
    if count == 1:
        return function(stacked)
    found = torch.stack([function(d) for d in stacked.reshape(count, *shape).unbind()])
    return found.flatten(0, 1) if found.ndim > 1 else found


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
    assert output is not None
    if cotangent is None:  # nothing that the loss depends on reads it
        return torch.zeros_like(output)
    if output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last):
        return packed(cotangent, torch.channels_last)
    return cotangent
