"""Operations that move numbers about, add some of them up, or scale them all; and their transposes.

They are linear, so that tangents go the way of values, and cotangents back the way of the
transpose, which is written out: a network has many of them, and torch's graph of one costs more
than it does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spectra.products.layers.interface import Layer, Saved, by_direction
from spectra.products.tangent.folding import Direction, Moved


class Rearrangement(Layer):
    """y = A x of one value; the inputs after it, such as sizes, are moved by nothing.

    Args:
        function: of the value and those inputs.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function

    @abstractmethod
    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return Aᵀ of one cotangent."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Return A x."""
        return self.function(*inputs)

    def forward(self, moved: Tensor, saved: Saved) -> Tensor:
        """Return A of one tangent."""
        return self.function(moved, *saved.others)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return Aᵀ δ."""
        saved.others = saved.inputs[1:]
        assert isinstance(saved.output, Tensor)
        saved.shapes = (*saved.shapes[:1], saved.output.shape)
        return [self.transposed(saved.cotangent, saved), *[None] * (len(wanted) - 1)]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return A dx."""
        dx = saved.input_tangents[0]
        if dx is None or direction.count == 1:
            return None if dx is None else self.forward(dx, saved)
        shape, count = saved.shapes[0], direction.count
        return by_direction(lambda d: self.forward(d, saved), dx, shape, count)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return Aᵀ dδ."""
        found, count = d_delta, direction.count
        if d_delta is not None and count == 1:
            found = self.transposed(d_delta, saved)
        elif d_delta is not None:
            shape = saved.shapes[1]
            found = by_direction(lambda d: self.transposed(d, saved), d_delta, shape, count)
        return [found, *[None] * (len(wanted) - 1)]


class Reshape(Rearrangement):
    """The same numbers in the same order under another shape."""

    def forward(self, moved: Tensor, saved: Saved) -> Tensor:
        """Return one tangent in the output's shape."""
        return moved.reshape(saved.shapes[1])

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return the cotangent in the input's shape."""
        return cotangent.reshape(saved.shapes[0])


class Permute(Rearrangement):
    """Axes in another order.

    Args:
        order: returns it, from the number of axes.
    """

    def __init__(self, order: Callable[[int], Sequence[int]]) -> None:
        super().__init__(lambda x: x.permute(*order(x.ndim)))
        self.order = order

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return the axes in their own order."""
        order = self.order(cotangent.ndim)
        back = [0] * len(order)
        for to, of in enumerate(order):
            back[of] = to
        return cotangent.permute(*back)


class Pick(Rearrangement):
    """Some of the numbers: a slice, a piece, an entry of an axis. The function returns a view."""

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return zeros with the cotangent where the numbers were."""
        found = cotangent.new_zeros(saved.shapes[0])
        self.function(found, *saved.others).copy_(cotangent)
        return found


class Expand(Rearrangement):
    """The same numbers repeated along some axes."""

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return the sums over the repetitions."""
        return cotangent.sum_to_size(saved.shapes[0])


class Reduction(Rearrangement):
    """Sums or means over some axes.

    Args:
        function: of the value.
        axes: summed over; None: all.
        keeps_axes: whether they stay, of length 1.
        is_mean: whether it is a mean.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        axes: Sequence[int] | None,
        *,
        keeps_axes: bool,
        is_mean: bool,
    ) -> None:
        super().__init__(function)
        self.axes, self.keeps_axes, self.is_mean = axes, keeps_axes, is_mean

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return the cotangent at each of the numbers added up."""
        shape = saved.shapes[0]
        axes = range(len(shape)) if self.axes is None else self.axes
        gone = sorted(axis % len(shape) for axis in axes)
        if self.is_mean:
            cotangent = cotangent / max(1, torch.Size(shape[axis] for axis in gone).numel())
        if not self.keeps_axes:
            for axis in gone:
                cotangent = cotangent.unsqueeze(axis)
        return cotangent.expand(shape)


class Scale(Rearrangement):
    """Every number times the same factor."""

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return the cotangent times the factor."""
        return self.function(cotangent, *saved.others)


class Shift(Rearrangement):
    """Every number plus the same one, which the derivative knows nothing of."""

    def forward(self, moved: Tensor, saved: Saved) -> Tensor:
        """Return the tangent."""
        return moved

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return the cotangent."""
        return cotangent


class Masked(Rearrangement):
    """The same numbers, but for a constant in the places that a mask, the second input, says.

    Args:
        function: of the value and the mask.
        where: what the mask says there.
    """

    def __init__(self, function: Callable[..., Tensor], *, where: bool) -> None:
        super().__init__(function)
        self.where = where

    def forward(self, moved: Tensor, saved: Saved) -> Tensor:
        """Return the tangent, 0 in these places."""
        (mask,) = saved.others
        return moved.masked_fill(mask if self.where else mask.logical_not(), 0.0)

    def transposed(self, cotangent: Tensor, saved: Saved) -> Tensor:
        """Return the cotangent, 0 in these places; summed where the value was broadcast."""
        return self.forward(cotangent, saved).sum_to_size(saved.shapes[0])


class Joined(Layer):
    """Several values one after the other along an axis that they have, or along one of their own.

    Args:
        axis: along which.
        is_new: whether the axis is not one of the values' own.
    """

    def __init__(self, axis: int, *, is_new: bool) -> None:
        self.axis, self.is_new = axis, is_new

    def value(self, *inputs: Tensor) -> Tensor:
        """Return them joined."""
        return torch.stack(inputs, self.axis) if self.is_new else torch.cat(inputs, self.axis)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the pieces of δ."""
        saved.others = tuple(x.new_zeros(()) for x in saved.inputs)
        return self._pieces(saved.cotangent, saved, wanted)

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return the tangents joined, zeros where an input has none."""
        count, moves = direction.count, saved.input_tangents
        if all(d is None for d in moves):
            return None
        whole = [
            zero.expand(shape if count == 1 else (count, *shape))
            if d is None
            else d
            if count == 1
            else d.reshape(count, *shape)
            for d, shape, zero in zip(moves, saved.shapes, saved.others, strict=True)
        ]
        if count == 1:
            return self.value(*whole)
        return torch.stack([self.value(*(w[k] for w in whole)) for k in range(count)]).flatten(0, 1)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the pieces of dδ."""
        if d_delta is None:
            return [None] * len(wanted)
        if direction.count == 1:
            return self._pieces(d_delta, saved, wanted)
        each = [self._pieces(d, saved, wanted) for d in d_delta.chunk(direction.count)]
        return [None if p[0] is None else _below(list(p)) for p in zip(*each, strict=True)]

    def _pieces(
        self, cotangent: Tensor, saved: Saved, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        if self.is_new:
            pieces = list(cotangent.unbind(self.axis))
        else:
            sizes = [shape[self.axis] for shape in saved.shapes]
            pieces = list(cotangent.split(sizes, self.axis))
        return [piece if want else None for piece, want in zip(pieces, wanted, strict=True)]


def _below(pieces: list[Any]) -> Tensor:
    stacked = torch.stack(pieces)
    return stacked.flatten(0, 1) if stacked.ndim > 1 else stacked
