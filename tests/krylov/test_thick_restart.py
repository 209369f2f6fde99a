"""Lanczos on a basis of bounded size: thick restarts."""

import numpy as np
import pytest
import torch
from oracles import symmetric_with_spectrum
from test_extremes import DOUBLE, FULL_TOLERANCE, extremes, start

from spectra import DenseOperator, InputError, LambdaOperator, Lanczos
from spectra.krylov.extremes import extremes_of_run
from spectra.krylov.thick_restart import ThickRestart, thick_restart
from spectra.krylov.tolerance import Tolerance

HARD = {
    "outliers": torch.cat(
        [torch.tensor([-2.0, -1.5]), torch.linspace(0, 1, 296), torch.tensor([9.0, 30.0])]
    ),
    "bulk": torch.linspace(-1, 5, 300),
    "weak_negative": torch.cat(
        [torch.tensor([-0.3]), torch.linspace(-0.2, 1, 298), torch.ones(1) * 20]
    ),
}


@pytest.mark.parametrize("kind", list(HARD))
@pytest.mark.parametrize("storage", ["device", "host"])
def test_a_small_basis_reaches_the_values_of_an_unrestricted_run(kind, storage):
    op = DenseOperator(symmetric_with_spectrum(HARD[kind].double(), seed=0))
    options = {"tol": 1e-6, "floor": 1e-7, "max_steps": 3000}
    free = extremes(op, **options)
    found = extremes(op, max_basis=12, basis=storage, **options)
    assert found.restarts > 0
    assert free.restarts == 0
    for a, b in ((found.smallest, free.smallest), (found.largest, free.largest)):
        assert a.converged
        # The residual is at most 1e-6 max|θ|, and values are nearer than that.
        assert abs(a.value - b.value) <= 1e-6 * float(HARD[kind].abs().max())
        assert a.residual_norm <= 2e-6 * float(HARD[kind].abs().max())


def test_restarts_hold_no_more_vectors_than_they_may():
    op = DenseOperator(symmetric_with_spectrum(HARD["bulk"].double(), seed=0))
    thick = ThickRestart(Lanczos(op, start(op)).run(5), 0, max_basis=12, keep=6)
    held = []
    for _ in range(60):
        thick.step()
        held.append(len(thick.basis))
    assert max(held) == 12


def test_the_projection_after_restarts_is_that_of_the_operator():
    matrix = symmetric_with_spectrum(HARD["outliers"].double(), seed=0)
    op = DenseOperator(matrix)
    thick = ThickRestart(Lanczos(op, start(op)).run(5), 0, max_basis=12, keep=6)
    for _ in range(60):
        thick.step()
    m = len(thick.current)
    q = thick.basis.combine_many(np.eye(m + 1))
    # H Q = Q T + q cᵀ, to the rounding of some 60 steps.
    expected = torch.from_numpy(thick.current.matrix) @ q[:m]
    expected += torch.outer(torch.from_numpy(thick.current.coupling), q[m])
    assert float((q[:m] @ matrix - expected).abs().max()) <= 1e-12
    assert float((q @ q.T - torch.eye(m + 1)).abs().max()) <= 1e-12


@pytest.mark.parametrize("first", [3, 40])
def test_a_run_of_any_length_can_be_carried_on_with_restarts(first):
    op = DenseOperator(symmetric_with_spectrum(HARD["outliers"].double(), seed=0))
    run = Lanczos(op, start(op)).run(first)
    before = run.tridiagonal()
    found = extremes_of_run(run, max_basis=12, max_steps=3000, tolerance=Tolerance(1e-9, 1e-10))
    assert found.smallest.value == pytest.approx(-2, abs=1e-9)
    assert found.largest.value == pytest.approx(30, abs=1e-9)
    np.testing.assert_array_equal(run.tridiagonal().alphas[:first], before.alphas)


def test_a_run_whose_vectors_were_taken_over_makes_no_more_steps(dense):
    run = Lanczos(dense, start(dense))
    assert extremes_of_run(run, max_basis=6, tolerance=FULL_TOLERANCE).restarts > 0
    with pytest.raises(InputError, match="thick restart"):
        run.step()


def test_a_basis_that_holds_every_step_changes_nothing(dense):
    options = {"max_steps": 15, "tol": 1e-14, "floor": 0.0}
    free, bound = (extremes(dense, max_basis=m, **options) for m in (None, 15))
    assert (bound.steps, bound.restarts) == (15, 0)
    assert torch.equal(free.smallest.vector, bound.smallest.vector)


def test_restarts_in_float16_give_values_to_a_thousandth():
    op = DenseOperator(symmetric_with_spectrum(HARD["outliers"].double(), seed=0))
    found = extremes(op, max_basis=6, basis="half", max_steps=3000, tol=1e-2)
    assert found.restarts > 0
    assert abs(found.smallest.value + 2) <= 1e-3 * 30
    assert abs(found.largest.value - 30) <= 1e-3 * 30


def test_a_closed_run_is_carried_on_from_a_new_direction():
    # The start spans 8 eigenvalues of 1 to 5 alone; the ends lie among the other 60.
    others = torch.cat([torch.linspace(0, 4, 58), torch.tensor([-3.0, 9.0])]).double()
    op = DenseOperator(torch.diag(torch.cat([torch.linspace(1, 5, 8).double(), others])))
    run = Lanczos(op, torch.cat([torch.ones(8), torch.zeros(60)])).run(20)
    assert run.closed
    ends = thick_restart(run, max_basis=12, tolerance=Tolerance(1e-6, 1e-9), max_steps=2000)
    assert ends.restarts > 0
    low, high = (float(y @ op.matvec(y)) for (y,) in ends.vectors)
    assert (low, high) == pytest.approx((-3.0, 9.0), abs=1e-6)


def test_a_closed_block_is_kept_when_a_later_one_is_restarted():
    # The start spans -4, 3, 30; the ends of the rest, -1 to 4, lie between.
    others = torch.linspace(-1, 4, 100, dtype=DOUBLE)
    op = DenseOperator(torch.diag(torch.cat([torch.tensor([-4.0, 3.0, 30.0]), others])))
    run = Lanczos(op, torch.cat([torch.ones(3), torch.zeros(100)]))
    found = extremes_of_run(run, max_basis=12, max_steps=2000, tolerance=Tolerance(1e-6, 1e-7))
    assert found.restarts > 0
    assert (found.smallest.value, found.largest.value) == pytest.approx((-4.0, 30.0), abs=1e-9)
    assert found.smallest.converged


def test_restarts_stop_at_the_limit_of_steps():
    op = DenseOperator(symmetric_with_spectrum(HARD["bulk"].double(), seed=0))
    found = extremes(op, max_basis=12, max_steps=40, tol=1e-10, floor=0.0)
    assert (found.steps, found.smallest.converged) == (40, False)


def test_extremes_without_a_basis_take_one_second_pass(dense):
    products = []
    op = LambdaOperator(lambda v: products.append(1) or dense.matvec(v), dense.size)
    found = extremes(op, basis="none", max_basis=12, tol=1e-6)
    assert len(products) == 2 * found.steps - 1 + 2
    assert found.restarts == 0
    assert found.smallest.value == pytest.approx(-3, abs=1e-6)
    assert found.largest.value == pytest.approx(9, abs=1e-6)


@pytest.mark.parametrize("max_basis", [0, 5])
def test_a_basis_too_small_for_restarts_is_refused(dense, max_basis):
    with pytest.raises(InputError, match=f"at least 6, got {max_basis}"):
        extremes(dense, max_basis=max_basis)
