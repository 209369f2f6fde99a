"""Lanczos runs whose steps are made together: each as by itself."""

import numpy as np
import torch
from oracles import random_vector, symmetric_with_spectrum

from spectra import DenseOperator, NonFiniteError
from spectra.classes.many.in_turn import InTurn
from spectra.krylov.basis.rows_of_runs import LentBasis, RowsOfRuns, Stepping
from spectra.krylov.lanczos import Lanczos

SIZE, CAPACITY = 24, 12
# Steps of each run: within the room, beyond it, and until the space closes.
STEPS = (9, 18, 24)
DECAY = 0.5


def operators() -> list[DenseOperator]:
    eigenvalues = torch.linspace(-3.0, 5.0, SIZE, dtype=torch.float64)
    made = [DenseOperator(symmetric_with_spectrum(eigenvalues + k, seed=k)) for k in range(3)]
    few = torch.cat([torch.zeros(SIZE - 4), torch.tensor([-1.0, 2.0, 3.0, 5.0])]).double()
    made[2] = DenseOperator(symmetric_with_spectrum(few, seed=2))
    return made


def together(ops: list[DenseOperator], *, failing: int | None = None) -> list[InTurn]:
    """Carry the runs on in turn; those that ask for a step make it with the others that do."""
    rows = RowsOfRuns(ops[0], len(ops), CAPACITY)
    identity = torch.eye(SIZE, dtype=torch.float64)
    shifted = [DenseOperator(2.0 * (op.dense() - DECAY * identity)) for op in ops]

    def carried(k):
        def work(ask):
            op = ops[k]
            op.makes_basis = lambda op, capacity: LentBasis(
                op, rows.cleared(k), lambda basis, _: ask((len(basis), basis.last()))
            )
            return Lanczos(op, random_vector(SIZE, k)).run(STEPS[k])

        return work

    running = [InTurn(carried(k)) for k in range(len(ops))]
    while any(not run.done for run in running):
        asked = {k: run.question for k, run in enumerate(running) if not run.done}
        products = {k: shifted[k].matvec(v) for k, (_, v) in asked.items()}
        if failing in products:
            products[failing] = torch.full((SIZE,), torch.nan, dtype=torch.float64)
        steps = {k: Stepping(count, 2.0, DECAY) for k, (count, _) in asked.items()}
        for k, found in rows.step(steps, products).items():
            running[k].answer(found)
    return running


def test_steps_made_together_are_those_of_each_run_by_itself():
    for k, run in enumerate(together(operators())):
        found = run.result
        alone = Lanczos(operators()[k], random_vector(SIZE, k)).run(STEPS[k])
        assert (len(found), found.closed) == (len(alone), alone.closed)
        np.testing.assert_allclose(found.alphas, alone.alphas, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.betas, alone.betas, rtol=0, atol=1e-10)
        vectors = found.ritz_vectors(np.eye(len(found)))
        torch.testing.assert_close(
            vectors @ vectors.T, torch.eye(len(found), dtype=torch.float64), rtol=0, atol=1e-12
        )


def test_a_run_without_numbers_spoils_no_other():
    whole, spoilt = together(operators()), together(operators(), failing=1)
    assert isinstance(spoilt[1].error, NonFiniteError)
    assert "Lanczos step 1" in str(spoilt[1].error)
    for k in (0, 2):
        assert spoilt[k].result.alphas == whole[k].result.alphas
