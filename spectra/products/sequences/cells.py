"""One step of a recurrent layer, and the derivatives of all its steps.

Arrays have time first: (T, n, ...), and those of K directions (T, K, n, ...). With a the gates'
arguments, one part from the inputs and one from the last state, a cell is four passes over time:
``run`` forward; ``back`` for the cotangents δa; along a direction ``moved`` for the tangents of the
states, and ``moved_back`` for those of δa. What a pass does for each step is the product with the
recurrent weights and what depends on it; everything else is done for all steps at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

Kept = dict[str, Tensor]


class Cell(ABC):
    """What happens in a step.

    Attributes:
        gates: blocks of rows in the weights.
    """

    gates = 1

    @abstractmethod
    def run(self, from_inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Kept:
        """Return the states "h", (T, n, H), "before", those before each step, and what it needs.

        Args:
            from_inputs: the inputs' part of a, (T, n, G H).
            weight: W of the last state's part, h Wᵀ.
            bias: of that part.
        """

    @abstractmethod
    def back(self, kept: Kept, delta: Tensor, weight: Tensor) -> None:
        """Add to ``kept`` "of inputs" and "of states", δa by their two parts, (T, n, G H)."""

    @abstractmethod
    def moved(self, kept: Kept, of_inputs: Tensor, of_states: Tensor, weight: Tensor) -> Kept:
        """Return the tangents "h" and "before" of the states, and what the way back needs.

        Args:
            kept: of the values.
            of_inputs: da by the inputs' part, (T, K, n, G H).
            of_states: da by the last state's part, that state's own tangent left out; overwritten.
            weight: as before.
        """

    @abstractmethod
    def moved_back(
        self, kept: Kept, moved: Kept, d_delta: Tensor, crossed: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the tangents of δa by their two parts.

        Args:
            kept: of the values.
            moved: of the tangents.
            d_delta: dδ, (T, K, n, H).
            crossed: δa dW, what a step hands back to the state before, (T, K, n, H).
            weight: as before.
        """


class Elman(Cell):
    """h = φ(a), with φ = tanh or max(·, 0)."""

    def __init__(self, *, relu: bool) -> None:
        self.relu = relu

    def run(self, from_inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Kept:
        """Return the states."""
        a = from_inputs if bias is None else from_inputs + bias
        h, states = a.new_zeros(a.shape[1:]), []
        for step in a:
            h = torch.addmm(step, h, weight.T)
            h = h.relu() if self.relu else h.tanh()
            states.append(h)
        return as_states(states)

    def back(self, kept: Kept, delta: Tensor, weight: Tensor) -> None:
        """Take δa = φ' h̄ back through time."""
        h = kept["h"]
        kept["slope"] = slope = (h > 0).to(h.dtype) if self.relu else 1 - h * h
        found, total = torch.empty_like(h), torch.empty_like(h)
        carried = torch.zeros_like(h[0])
        for t in reversed(range(len(h))):
            torch.add(delta[t], carried, out=total[t])
            torch.mul(slope[t], total[t], out=found[t])
            carried = found[t] @ weight
        kept["of inputs"] = kept["of states"] = found
        kept["bend"] = torch.zeros_like(h) if self.relu else -2 * h * found

    def moved(self, kept: Kept, of_inputs: Tensor, of_states: Tensor, weight: Tensor) -> Kept:
        """Return dh = φ' da."""
        da, states = of_states.add_(of_inputs), []
        dh = torch.zeros_like(da[0])
        for t, slope in enumerate(kept["slope"]):
            dh = slope * with_product(da[t], dh, weight.T)
            states.append(dh)
        return {**as_states(states), "a": da}

    def moved_back(
        self, kept: Kept, moved: Kept, d_delta: Tensor, crossed: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return φ'' h̄ da + φ' dh̄."""
        found = kept["bend"].unsqueeze(1) * moved["a"]
        total = handed_back(d_delta, crossed)
        for t in reversed(range(len(found))):
            if t + 1 < len(found):
                with_product(total[t], found[t + 1], weight)
            found[t].addcmul_(kept["slope"][t], total[t])
        return found, found


def as_states(states: list[Tensor]) -> Kept:
    """Return the states after each step and before it."""
    h = torch.stack(states)
    return {"h": h, "before": shifted(h)}


def shifted(values: Tensor) -> Tensor:
    """Return values of the step before, zeros before the first."""
    return torch.cat([torch.zeros_like(values[:1]), values[:-1]])


def handed_back(d_delta: Tensor, crossed: Tensor) -> Tensor:
    """Return dδ with what the step after hands back."""
    total = d_delta.clone(memory_format=torch.contiguous_format)
    total[:-1] += crossed[1:]
    return total


def with_product(sums: Tensor, left: Tensor, weight: Tensor) -> Tensor:
    """Add left weight to ``sums``, (K, n, ...), in place."""
    sums.view(-1, sums.shape[-1]).addmm_(left.reshape(-1, left.shape[-1]), weight)
    return sums
