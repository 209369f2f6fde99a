"""Products of two values that are linear in each: of matrices, and sums over named axes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spectra.products.layers.interface import Layer, Saved, by_direction, total
from spectra.products.tangent.folding import Direction, Moved


class Bilinear(Layer):
    """y = x ∘ z, linear in each: dy = dx ∘ z + x ∘ dz, and the same rule for the cotangents."""

    keeps = frozenset({"inputs", "delta"})
    keeps_the_same = True

    @abstractmethod
    def apply(self, x: Tensor, z: Tensor) -> Tensor:
        """Return x ∘ z."""

    @abstractmethod
    def pulled_first(self, delta: Tensor, z: Tensor, shape: torch.Size) -> Tensor:
        """Return the cotangent of x, of this shape."""

    @abstractmethod
    def pulled_second(self, delta: Tensor, x: Tensor, shape: torch.Size) -> Tensor:
        """Return the cotangent of z, of this shape."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Return x ∘ z."""
        return self.apply(*inputs)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangents of x and z."""
        (x, z), delta = saved.inputs, saved.cotangent
        return [
            self.pulled_first(delta, z, x.shape) if wanted[0] else None,
            self.pulled_second(delta, x, z.shape) if wanted[1] else None,
        ]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return dx ∘ z + x ∘ dz."""
        (x, z), (dx, dz), count = saved.inputs, saved.input_tangents, direction.count
        return total(
            _each(lambda d: self.apply(d, z), dx, x.shape, count),
            _each(lambda d: self.apply(x, d), dz, z.shape, count),
        )

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return, for each, what dδ pulls, and what δ does along the other one's tangent."""
        (x, z), (dx, dz), count = saved.inputs, saved.input_tangents, direction.count
        terms = saved.cotangent, d_delta
        return [
            _moved(self.pulled_first, terms, (z, dz), x.shape, count) if wanted[0] else None,
            _moved(self.pulled_second, terms, (x, dx), z.shape, count) if wanted[1] else None,
        ]


class MatrixProduct(Bilinear):
    """x @ z of batches of matrices, which broadcast, or of vectors."""

    def apply(self, x: Tensor, z: Tensor) -> Tensor:
        """Return x @ z."""
        return torch.matmul(x, z)

    def pulled_first(self, delta: Tensor, z: Tensor, shape: torch.Size) -> Tensor:
        """Return δ zᵀ, summed over what x was broadcast over."""
        if z.ndim == 1:
            found = delta[..., None] * z
        else:
            rows = delta[..., None, :] if len(shape) == 1 else delta
            found = torch.matmul(rows, z.mT)
            found = found[..., 0, :] if len(shape) == 1 else found
        return found.sum_to_size(shape)

    def pulled_second(self, delta: Tensor, x: Tensor, shape: torch.Size) -> Tensor:
        """Return xᵀ δ, summed over what z was broadcast over."""
        if x.ndim == 1:
            found = x[:, None] * delta[..., None, :] if len(shape) > 1 else x * delta
        else:
            columns = delta[..., None] if len(shape) == 1 else delta
            found = torch.matmul(x.mT, columns)
            found = found[..., 0] if len(shape) == 1 else found
        return found.sum_to_size(shape)


class NamedAxes(Bilinear):
    """A sum over products whose axes have letters: Einstein's notation of two values.

    Args:
        first: the axes of x, each letter once and each in ``second`` or ``result``.
        second: those of z, each letter once and each in ``first`` or ``result``.
        result: those of y.
    """

    def __init__(self, first: str, second: str, result: str) -> None:
        self.first, self.second, self.result = first, second, result

    def apply(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the sum over the axes that the result does not have."""
        return torch.einsum(f"{self.first},{self.second}->{self.result}", x, z)

    def pulled_first(self, delta: Tensor, z: Tensor, shape: torch.Size) -> Tensor:
        """Return the sum of δ z over the axes that x does not have."""
        return torch.einsum(f"{self.result},{self.second}->{self.first}", delta, z)

    def pulled_second(self, delta: Tensor, x: Tensor, shape: torch.Size) -> Tensor:
        """Return the sum of δ x over the axes that z does not have."""
        return torch.einsum(f"{self.result},{self.first}->{self.second}", delta, x)


def _each(
    function: Callable[[Tensor], Tensor], stacked: Tensor | None, shape: torch.Size, count: int
) -> Tensor | None:
    return None if stacked is None else by_direction(function, stacked, shape, count)


def _moved(
    pulled: Callable[[Tensor, Tensor, torch.Size], Tensor],
    cotangent: tuple[Tensor, Tensor | None],
    other: tuple[Tensor, Tensor | None],
    shape: torch.Size,
    count: int,
) -> Tensor | None:
    """Return the tangent of ``pulled`` from a cotangent and the other value with their tangents."""
    (delta, d_delta), (value, d_value) = cotangent, other
    return total(
        _each(lambda d: pulled(d, value, shape), d_delta, delta.shape, count),
        _each(lambda d: pulled(delta, d, shape), d_value, value.shape, count),
    )
