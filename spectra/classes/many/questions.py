"""What the analysis of a small loss asks of those that work on several together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spectra.krylov.basis.device import DeviceBasis
from spectra.krylov.basis.rows_of_runs import LentBasis, RowsOfRuns, Stepping
from spectra.operators.hessian import HessianOperator
from spectra.operators.interface import SymmetricOperator
from spectra.products.block.shared_pass import LossChunk


@dataclass(frozen=True)
class Question:
    """What an analysis waits for: a product, or a step of its Lanczos run."""

    chunk: LossChunk
    vector: Tensor
    step: Stepping | None = None


def first_run_beside(
    rows: RowsOfRuns, row: int, ask: Callable[[Question], Any]
) -> Callable[[SymmetricOperator, int | None], DeviceBasis]:
    """Return what makes bases: the first one, a loss's long run, in room beside other losses'."""
    lent = False

    def steps(basis: LentBasis, op: SymmetricOperator) -> Tensor:
        assert isinstance(op, HessianOperator)
        (part,) = op.chunks()
        chunk = op._linearised(part)
        assert isinstance(chunk, LossChunk)
        step = Stepping(len(basis), op.total_weight, op.decay)
        found: Tensor = ask(Question(chunk, basis.last(), step))
        op.count.add_products(op.num_images, beside_float32=False)
        return found

    def make(op: SymmetricOperator, capacity: int | None) -> DeviceBasis:
        nonlocal lent
        if lent:
            return DeviceBasis(op, capacity)
        lent = True
        return LentBasis(op, rows.cleared(row), steps)

    return make
