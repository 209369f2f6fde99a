"""Recurrent layers: one matrix product for the inputs of all steps, a loop for the states."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from spectra.products.layers.interface import Layer, Saved
from spectra.products.sequences.cells import Cell, Elman, Kept
from spectra.products.sequences.gated import Gated
from spectra.products.sequences.long_short_term import LongShortTerm
from spectra.products.tangent.folding import Direction, Moved


class Recurrent(Layer):
    """The states of one layer in one direction; of the values x, W, U and, if it has them, b and c.

    a = (x Wᵀ + b) + (h Uᵀ + c) are the arguments of the gates, h the state of the step before.

    Args:
        cell: what a step does.
        batch_first: whether x and the states are (n, T, ...) rather than (T, n, ...).
        reverse: whether the last step is the first.
    """

    def __init__(self, cell: Cell, *, batch_first: bool, reverse: bool) -> None:
        self.cell, self.batch_first, self.reverse = cell, batch_first, reverse

    def value(self, *inputs: Tensor) -> Tensor:
        """Return the states, (n, T, H) or (T, n, H)."""
        return self._as_given(self.run(*inputs)["h"])

    def run(self, x: Tensor, weight: Tensor, recurrent: Tensor, *biases: Tensor) -> Kept:
        """Return the states with time first, and what else the cell has."""
        bias, recurrent_bias = biases or (None, None)
        return self.cell.run(F.linear(self._in_time(x), weight, bias), recurrent, recurrent_bias)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangents by the chain rule through time."""
        x, weight, recurrent, *_ = saved.inputs
        kept = self.run(*saved.inputs)
        x = self._in_time(x).contiguous()
        delta = self._in_time(saved.cotangent).contiguous()
        self.cell.back(kept, delta, recurrent)
        kept |= {"x": x, "weight": weight, "recurrent": recurrent}
        saved.extra = kept
        of_inputs, of_states = kept["of inputs"], kept["of states"]
        found = [
            self._as_given(of_inputs @ weight) if wanted[0] else None,
            _rows(of_inputs).T @ _rows(x) if wanted[1] else None,
            _rows(of_states).T @ _rows(kept["before"]) if wanted[2] else None,
        ]
        for part, want in zip((of_inputs, of_states), wanted[3:], strict=False):
            found.append(part.sum((0, 1)) if want else None)
        return found

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return the tangents of the states; keep what the way back needs."""
        kept, count = saved.extra, direction.count
        if all(d is None for d in saved.input_tangents):
            return None
        found = self._moved(saved, count)
        kept |= {f"moved {name}": value for name, value in found.items()}
        return self._stacked(found["h"])

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents of the cotangents by the chain rule and the product rule."""
        kept, count = saved.extra, direction.count
        still = all(d is None for d in saved.input_tangents)
        along = {name[6:]: kept.pop(name) for name in [*kept] if name.startswith("moved ")}
        if still and d_delta is None:
            return [None] * len(wanted)
        if still:
            along = self._moved(saved, count)
        dx, d_weight, d_recurrent, *_ = self._tangents(saved, count)
        by_inputs, by_states, h = kept["of inputs"], kept["of states"], kept["h"]
        zeros = h.new_zeros((len(h), count, *h.shape[1:]))
        crossed = _sum_of_products((None, None), (by_states, d_recurrent), count)
        of_inputs, of_states = self.cell.moved_back(
            kept,
            along,
            zeros if d_delta is None else self._apart(d_delta, count),
            zeros if crossed is None else crossed,
            kept["recurrent"],
        )
        found: list[Tensor | None] = [None] * len(wanted)
        if wanted[0]:
            of_x = _sum_of_products((of_inputs, kept["weight"]), (by_inputs, d_weight), count)
            found[0] = None if of_x is None else self._stacked(of_x)
        pairs = ((of_inputs, by_inputs, "x"), (of_states, by_states, "before"))
        for i, (part, delta, name) in enumerate(pairs, 1):
            if wanted[i]:
                change = along["before"] if name == "before" else dx
                found[i] = _gradients(part, delta, kept[name], change, count)
            if i + 2 < len(wanted) and wanted[i + 2]:
                found[i + 2] = part.sum((0, 2)).flatten()
        return found

    def _moved(self, saved: Saved, count: int) -> dict[str, Tensor]:
        """Return the tangents of the states, and what goes with them."""
        kept = saved.extra
        dx, d_weight, d_recurrent, *d_biases = self._tangents(saved, count)
        bias, recurrent_bias = d_biases or (None, None)
        of_inputs = _sum_of_products(
            (dx, kept["weight"].mT), (kept["x"], _flipped(d_weight)), count
        )
        of_states = _sum_of_products((None, None), (kept["before"], _flipped(d_recurrent)), count)
        parts = []
        for part, change in ((of_inputs, bias), (of_states, recurrent_bias)):
            whole = part
            if whole is None:
                steps, n, width = kept["of inputs"].shape
                whole = kept["x"].new_zeros((steps, count, n, width))
            parts.append(whole if change is None else whole.add_(change.unsqueeze(1)))
        of_inputs, of_states = parts
        return self.cell.moved(kept, of_inputs, of_states, kept["recurrent"])

    def _tangents(self, saved: Saved, count: int) -> list[Tensor | None]:
        """Return dx, (T, K, n, I), dW and dU, (K, G H, ...), and db and dc, (K, G H)."""
        dx, *others = saved.input_tangents
        return [
            None if dx is None else self._apart(dx, count),
            *(
                None if d is None else d.reshape(count, *shape)
                for d, shape in zip(others, saved.shapes[1:], strict=True)
            ),
        ]

    def _in_time(self, values: Tensor) -> Tensor:
        """Return inputs or states with the first step first, (T, n, ...)."""
        values = values.transpose(0, 1) if self.batch_first else values
        return values.flip(0) if self.reverse else values

    def _as_given(self, values: Tensor) -> Tensor:
        """Return what :meth:`_in_time` takes from what it returns."""
        values = values.flip(0) if self.reverse else values
        return values.transpose(0, 1) if self.batch_first else values

    def _apart(self, stacked: Tensor, count: int) -> Tensor:
        """Return K tangents of inputs or states as (T, K, n, ...)."""
        each = stacked.reshape(count, -1, *stacked.shape[1:])
        each = each.permute(2, 0, 1, 3) if self.batch_first else each.transpose(0, 1)
        return (each.flip(0) if self.reverse else each).contiguous()

    def _stacked(self, tangents: Tensor) -> Tensor:
        """Return (T, K, n, ...) as inputs or states have it, one direction below the other."""
        each = tangents.flip(0) if self.reverse else tangents
        return (each.permute(1, 2, 0, 3) if self.batch_first else each.transpose(0, 1)).flatten(
            0, 1
        )


CELLS: dict[str, Cell] = {
    "lstm": LongShortTerm(),
    "gru": Gated(),
    "tanh": Elman(relu=False),
    "relu": Elman(relu=True),
}


def recurrent_states(*values: Tensor, kind: str, batch_first: bool, reverse: bool) -> Tensor:
    """Return the states of one layer in one direction, see :class:`Recurrent`."""
    return Recurrent(CELLS[kind], batch_first=batch_first, reverse=reverse).value(*values)


def last_cell_state(*values: Tensor, kind: str, batch_first: bool, reverse: bool) -> Tensor:
    """Return c after the last step of an LSTM, (n, H)."""
    layer = Recurrent(CELLS[kind], batch_first=batch_first, reverse=reverse)
    return layer.run(*values)["c"][-1]


def _sum_of_products(
    first: tuple[Tensor | None, Tensor | None],
    second: tuple[Tensor, Tensor | None],
    count: int,
) -> Tensor | None:
    """Return dv M + v dM for K directions, (T, K, n, ...); None where neither moves.

    Args:
        first: dv, (T, K, n, ...), and M.
        second: v, (T, n, ...), and dM, (K, ..., ...).
        count: K. Where it is 1, both are products of two matrices, which torch has faster ways for.
    """
    (moved, matrix), (values, change) = first, second
    found = None
    if moved is not None and matrix is not None:
        found = (_rows(moved) @ matrix).view(*moved.shape[:3], -1)
    if change is None:
        return found
    if count > 1:
        own = values.unsqueeze(1) @ change
        return own if found is None else found.add_(own)
    if found is None:
        return (_rows(values) @ change[0]).view(*values.shape[:2], -1).unsqueeze(1)
    found.view(-1, found.shape[-1]).addmm_(_rows(values), change[0])
    return found


def _gradients(
    part: Tensor, delta: Tensor, values: Tensor, change: Tensor | None, count: int
) -> Tensor:
    """Return dδᵀ v + δᵀ dv, one direction below the other."""
    if count == 1:
        found = _rows(part).T @ _rows(values)
        return found if change is None else found.addmm_(_rows(delta).T, _rows(change))
    total = part.transpose(0, 1).reshape(count, -1, part.shape[-1]).mT @ _rows(values)
    if change is not None:
        flat = change.transpose(0, 1).reshape(count, -1, change.shape[-1])
        total = total + _rows(delta).T @ flat
    return total.flatten(0, 1)


def _flipped(matrices: Tensor | None) -> Tensor | None:
    return None if matrices is None else matrices.mT


def _rows(values: Tensor) -> Tensor:
    return values.reshape(-1, values.shape[-1])
