"""The vectors of several Lanczos runs in one piece of memory, and a step of all runs at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from spectra.krylov.basis.device import DeviceBasis
from spectra.operators.interface import SymmetricOperator

# Ours: entries; where vectors begin at a multiple, kernels round all of them in the same way.
_ALIGNED = 64


class Stepping(NamedTuple):
    """What a run's step needs beside its product.

    Attributes:
        vectors: that the run has.
        divisor: of the product.
        decay: added to the matrix, times the identity.
    """

    vectors: int
    divisor: float
    decay: float


class RowsOfRuns:
    """Room for the vectors of B runs, as many for each.

    A step of :class:`spectra.krylov.lanczos.Lanczos` takes some thirty launches beside its product;
    here they serve all runs. Each run's numbers come from its own rows alone, and from shapes that
    stay, so that the others change none of them.

    Args:
        op: of one of the runs, for size, dtype and device.
        runs: B.
        capacity: vectors of a run.
    """

    def __init__(self, op: SymmetricOperator, runs: int, capacity: int) -> None:
        self.size = op.size
        wide = -(-op.size // _ALIGNED) * _ALIGNED  # what is behind a vector stays 0
        self.capacity = capacity
        self.rows = torch.zeros((runs, capacity + 1, wide), dtype=op.dtype, device=op.device)
        self._runs = torch.arange(runs, device=op.device)
        self._places = torch.arange(capacity + 1, device=op.device)
        self._least = torch.finfo(torch.float64).tiny

    def cleared(self, run: int) -> Tensor:
        """Return a run's room, (capacity, P), without what another one has left there."""
        return self.rows[run].zero_()[: self.capacity, : self.size]

    def step(
        self, steps: Mapping[int, Stepping], products: Mapping[int, Tensor]
    ) -> dict[int, Tensor]:
        """Make a step of some runs: put the next vector into each one's room, return its α and β.

        These are (2,), float64, on the CPU: a card is waited for once.

        Where the space has closed, or a product held no number, what is put there is to be
        forgotten.

        Args:
            steps: by run.
            products: matrix times the newest vector, before ``divisor`` and ``decay``, (P,).
        """
        runs, device = list(steps), self.rows.device
        any_product = products[runs[0]]
        each = [products[k] if k in steps else any_product for k in range(len(self.rows))]
        # A run that makes no step writes to a place that nobody reads.
        unused = (1, self.capacity, 1.0, 0.0)
        facts = [
            (steps[k].vectors, *steps[k]) if k in steps else unused for k in range(len(self.rows))
        ]
        numbers = torch.tensor(facts, dtype=torch.float64).to(device)
        counts, places = numbers[:, :2].long().unbind(1)
        divisors, decays = numbers[:, 2:].unbind(1)
        known = self._places < counts[:, None]
        last = self.rows[self._runs, counts - 1].double()
        w = torch.zeros_like(last)
        w[:, : self.size] = torch.stack(each).double() / divisors[:, None]
        if any(step.decay for step in steps.values()):
            w += decays[:, None] * last
        w = w.to(self.rows.dtype).double()
        alphas = (w * last).sum(1)
        w = self._orthogonalised(self._orthogonalised(w, known), known)
        betas = w.norm(dim=1)
        # Once more at length 1, as a single run does.
        w = self._orthogonalised(w / betas.clamp_min(self._least)[:, None], known)
        q = w / w.norm(dim=1).clamp_min(self._least)[:, None]
        # No number that is none may stay: it would spoil what is multiplied by 0.
        q = q.nan_to_num(0.0, 0.0, 0.0).to(self.rows.dtype)
        self.rows[self._runs, places] = q
        found = torch.stack([alphas, betas], 1).cpu()
        return {k: found[k] for k in runs}

    def _orthogonalised(self, w: Tensor, known: Tensor) -> Tensor:
        """Take out of each run's w (B, P) the projection on its vectors."""
        along = torch.bmm(self.rows, w.to(self.rows.dtype)[:, :, None])
        along = along.masked_fill(~known[:, :, None], 0.0)
        return w - torch.bmm(along.mT, self.rows)[:, 0]


MakesStep = Callable[["LentBasis", SymmetricOperator], Tensor]


class LentBasis(DeviceBasis):
    """A basis in room that somebody lends, who makes steps too while it lasts.

    Args:
        op: what the vectors belong to.
        room: zeros, (capacity, P).
        steps: makes the next step: from this basis and the operator to α and β, the next vector
            being in the room then.
    """

    def __init__(self, op: SymmetricOperator, room: Tensor, steps: MakesStep) -> None:
        super().__init__(op, 1)
        self._rows = self._lent = room
        self._steps = steps

    def stepped(self, op: SymmetricOperator) -> Tensor | None:
        """Return α and β of the next step, (2,); None where the room is used up."""
        if self._rows is not self._lent or self._count == len(self._rows):
            return None
        found = self._steps(self, op)
        self._count += 1
        return found
