"""Sums, products and quotients of two values, either of which may be broadcast over the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.products.layers.directions import below, plus_product, shape_of, spread, summed_to
from spectra.products.layers.interface import Layer, Saved
from spectra.products.tangent.folding import Direction, Moved


class Arithmetic(Layer):
    """A function of two values, entry by entry; one that does not move may be a plain number."""

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return the tangent of the output."""
        like, count = saved.extra["like"], direction.count
        found = self.moved(saved, *self._tangents(saved, count))
        if found is None:
            return None
        shape = like.shape if count == 1 else (count, *like.shape)
        return below(found.expand(shape), count)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangents of both; keep what the tangents read."""
        assert saved.output is not None
        kept = saved.extra
        kept["like"] = shape_of(saved.output)
        saved.inputs = tuple(
            x if isinstance(x, Tensor) else saved.cotangent.new_tensor(x) for x in saved.inputs
        )
        kept["like 0"], kept["like 1"] = (shape_of(value) for value in saved.inputs)
        return self._summed(saved, self.pulled(saved, wanted), 1, wanted)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents of the cotangents of both."""
        count, like = direction.count, saved.extra["like"]
        along = self._tangents(saved, count)
        d_delta = spread(d_delta, count, like.shape, like.ndim)
        terms = self.moved_pull(saved, d_delta, *along, wanted)
        return self._summed(saved, terms, count, wanted)

    @abstractmethod
    def moved(self, saved: Saved, dx: Tensor | None, dy: Tensor | None) -> Tensor | None:
        """Return the tangent of the output; (K, ...) where tangents are."""

    @abstractmethod
    def pulled(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangents, in the shape of the output."""

    @abstractmethod
    def moved_pull(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        dx: Tensor | None,
        dy: Tensor | None,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents of :meth:`pulled`."""

    def _tangents(self, saved: Saved, count: int) -> tuple[Tensor | None, Tensor | None]:
        """Return dx and dy as they broadcast with K tangents of the output."""
        kept = saved.extra
        ndim = kept["like"].ndim
        dx, dy = (
            spread(moved, count, kept[f"like {i}"].shape, ndim)
            for i, moved in enumerate(saved.input_tangents)
        )
        return dx, dy

    def _summed(
        self,
        saved: Saved,
        terms: Sequence[Tensor | None],
        count: int,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the terms summed over what each value was broadcast over."""
        shapes = [saved.extra[f"like {i}"].shape for i in (0, 1)]
        return [
            None if term is None or not want else below(summed_to(term, count, shape), count)
            for term, shape, want in zip(terms, shapes, wanted, strict=True)
        ]


class WeightedSum(Arithmetic):
    """x + α y.

    Args:
        weight: α.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def value(self, *inputs: Tensor) -> Tensor:
        """Return x + α y."""
        x, y = inputs
        return x + (y if self.weight == 1 else self.weight * y)

    def moved(self, saved: Saved, dx: Tensor | None, dy: Tensor | None) -> Tensor | None:
        """Return dx + α dy."""
        if dx is None or dy is None:
            return dx if dy is None else self._times(dy)
        return torch.add(dx, dy, alpha=self.weight)

    def pulled(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ and α δ."""
        return [saved.cotangent, self._times(saved.cotangent)]

    def moved_pull(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        dx: Tensor | None,
        dy: Tensor | None,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ and α dδ."""
        return [d_delta, None if d_delta is None else self._times(d_delta)]

    def _times(self, value: Tensor) -> Tensor:
        return value if self.weight == 1 else value * self.weight


class Product(Arithmetic):
    """x y."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Return x y."""
        return inputs[0] * inputs[1]

    def moved(self, saved: Saved, dx: Tensor | None, dy: Tensor | None) -> Tensor | None:
        """Return dx y + x dy."""
        found = None if dx is None else dx * saved.extra["y"]
        return found if dy is None else plus_product(found, saved.extra["x"], dy)

    def pulled(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ y and x δ."""
        x, y = saved.inputs
        saved.extra.update(x=x, y=y, delta=saved.cotangent)
        return [v * saved.cotangent if w else None for v, w in zip((y, x), wanted, strict=True)]

    def moved_pull(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        dx: Tensor | None,
        dy: Tensor | None,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ y + δ dy and dδ x + δ dx."""
        kept, found = saved.extra, list[Tensor | None]()
        for name, moved, want in (("y", dy, wanted[0]), ("x", dx, wanted[1])):
            term = d_delta * kept[name] if want and d_delta is not None else None
            if want and moved is not None:
                term = plus_product(term, kept["delta"], moved)
            found.append(term)
        return found


class Quotient(Arithmetic):
    """q = x / y, with dq = (dx - q dy) / y.

    The cotangents are x̄ = δ / y and ȳ = -q x̄, their tangents dx̄ = (dδ - x̄ dy) / y and
    dȳ = -(q dx̄ + x̄ dq).
    """

    def value(self, *inputs: Tensor) -> Tensor:
        """Return x / y."""
        return inputs[0] / inputs[1]

    def moved(self, saved: Saved, dx: Tensor | None, dy: Tensor | None) -> Tensor | None:
        """Return (dx - q dy) / y."""
        kept, found = saved.extra, dx
        if dy is not None:
            found = -kept["q"] * dy if dx is None else torch.addcmul(dx, kept["q"], dy, value=-1)
        return None if found is None else found / kept["y"]

    def pulled(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return x̄ and -q x̄."""
        assert saved.output is not None
        back = saved.cotangent / saved.inputs[1]
        saved.extra.update(y=saved.inputs[1], q=saved.output, back=back)
        return [back, -saved.output * back if wanted[1] else None]

    def moved_pull(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        dx: Tensor | None,
        dy: Tensor | None,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dx̄ and -(q dx̄ + x̄ dq)."""
        kept, of_x, of_y = saved.extra, d_delta, None
        if dy is not None:
            before = kept["back"].new_zeros(()) if d_delta is None else d_delta
            of_x = torch.addcmul(before, kept["back"], dy, value=-1)
        if of_x is not None:
            of_x = of_x / kept["y"]
        if wanted[1]:
            moved = self.moved(saved, dx, dy)
            of_y = None if of_x is None else -kept["q"] * of_x
            if moved is not None:
                of_y = plus_product(of_y, -kept["back"], moved)
        return [of_x, of_y]
