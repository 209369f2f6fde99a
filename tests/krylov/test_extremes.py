import numpy as np
import pytest
import torch
from oracles import random_vector, symmetric_with_spectrum
from scipy.sparse.linalg import eigsh

from spectra import (
    DenseOperator,
    HessianOperator,
    InputError,
    LambdaOperator,
    Lanczos,
    extreme_eigenpairs,
    make_generator,
)
from spectra.krylov.restart import ThickRestart, restarted_extremes

DOUBLE = torch.float64
FULL = {"tol": 1e-8, "floor": 1e-10}


def extremes(op, **options):
    options = {"max_steps": op.size, "generator": make_generator(0, "start"), **options}
    return extreme_eigenpairs(op, **options)


def operator(net, dtype=DOUBLE) -> HessianOperator:
    return HessianOperator(net.model, net.images, net.labels, dtype=dtype, micro_chunk=9)


@pytest.fixture
def dense():
    eigenvalues = torch.cat([torch.tensor([-3.0, -0.5]), torch.linspace(0, 1, 55).double()])
    eigenvalues = torch.cat([eigenvalues, torch.tensor([4.0, 9.0])])
    return DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))


@pytest.mark.parametrize("kind", ["smooth_mlp", "mlp_bn", "conv_resnet"])
def test_the_nets_under_test_have_negative_curvature(trained_nets, kind):
    # Guards the tests below: on a convex loss they would not exercise λmin.
    eigenvalues = trained_nets[kind].eigenvalues
    assert eigenvalues[0] < -0.05 * eigenvalues[-1]


def test_at_full_convergence_both_ends_equal_the_dense_eigenvalues(trained_net):
    found = extremes(operator(trained_net), **FULL)
    assert (found.smallest.converged, found.largest.converged) == (True, True)
    # The residual is below 1e-8 |θ| and the error is quadratic in it; 1e-8 is what is promised.
    bound = 1e-8 * trained_net.scale
    assert abs(found.smallest.value - float(trained_net.eigenvalues[0])) <= bound
    assert abs(found.largest.value - float(trained_net.eigenvalues[-1])) <= bound


def test_float32_products_are_within_a_thousandth(trained_net):
    found = extremes(operator(trained_net, torch.float32), tol=1e-4)
    # Rounding alone is 1e-7; a thousandth leaves room for a flipped ReLU mask.
    bound = 1e-3 * trained_net.scale
    assert abs(found.smallest.value - float(trained_net.eigenvalues[0])) <= bound
    assert abs(found.largest.value - float(trained_net.eigenvalues[-1])) <= bound


@pytest.mark.parametrize("steps", [1, 3, 10, 40])
def test_residual_norm_is_that_of_the_returned_pair(trained_net, steps):
    found = extremes(operator(trained_net), max_steps=steps, **FULL)
    for pair in (found.smallest, found.largest):
        residual = trained_net.hessian @ pair.vector - pair.value * pair.vector
        # Two float64 products of the same vector: some ulp of λmax apart.
        assert abs(float(residual.norm()) - pair.residual_norm) <= 1e-13 * trained_net.scale


@pytest.mark.parametrize("steps", [1, 3, 10, 40])
def test_an_eigenvalue_lies_within_the_residual(trained_net, steps):
    found = extremes(operator(trained_net), max_steps=steps, **FULL)
    for pair in (found.smallest, found.largest):
        nearest = float((trained_net.eigenvalues - pair.value).abs().min())
        assert nearest <= pair.residual_norm + 1e-13 * trained_net.scale


@pytest.mark.parametrize("steps", [1, 3, 10, 40])
def test_values_are_rayleigh_quotients_inside_the_spectrum(trained_net, steps):
    found = extremes(operator(trained_net), max_steps=steps, **FULL)
    slack = 1e-13 * trained_net.scale
    for pair in (found.smallest, found.largest):
        quotient = float(pair.vector @ trained_net.hessian @ pair.vector)
        assert abs(quotient - pair.value) <= slack
    assert float(trained_net.eigenvalues[0]) <= found.smallest.value + slack
    assert found.largest.value <= float(trained_net.eigenvalues[-1]) + slack


def test_vectors_have_length_one_and_are_float64(trained_net):
    found = extremes(operator(trained_net, torch.float32), max_steps=12)
    for pair in (found.smallest, found.largest):
        assert pair.vector.dtype == DOUBLE
        assert abs(float(pair.vector.norm()) - 1) <= 1e-14


def test_agrees_with_arpack(trained_net):
    op = operator(trained_net)
    found = extremes(op, **FULL)
    start = random_vector(op.size, "arpack").numpy()
    options = {"k": 1, "v0": start, "return_eigenvectors": False, "ncv": min(op.size, 60)}
    bound = 1e-8 * trained_net.scale
    assert abs(eigsh(op.to_scipy(), which="SA", **options)[0] - found.smallest.value) <= bound
    assert abs(eigsh(op.to_scipy(), which="LA", **options)[0] - found.largest.value) <= bound


def test_not_converging_is_a_field(dense):
    found = extremes(dense, max_steps=3)
    assert (found.smallest.converged, found.largest.converged, found.steps) == (False, False, 3)


def test_one_end_may_converge_without_the_other():
    eigenvalues = torch.cat([torch.linspace(-1, 0, 80), torch.tensor([100.0])]).double()
    op = DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))
    found = extremes(op, max_steps=6, floor=1e-9)
    assert (found.smallest.converged, found.largest.converged) == (False, True)


def test_stops_as_soon_as_both_residuals_meet_the_tolerance(dense):
    found = extremes(dense, tol=1e-2, floor=0.0)
    run = Lanczos(dense, start(dense))
    run.run(found.steps - 1)
    t = run.tridiagonal()
    unmet = t.residual_bounds()[[0, -1]] > 1e-2 * np.abs(t.ritz_values()[[0, -1]])
    assert unmet.any()
    assert found.smallest.residual_norm <= 1e-2 * abs(found.smallest.value)
    assert found.largest.residual_norm <= 1e-2 * abs(found.largest.value)


def start(op):
    v = torch.randn(op.size, generator=make_generator(0, "start"), dtype=DOUBLE)
    return v / v.norm()


def test_the_floor_lets_a_zero_end_converge():
    # λmin = 0 has no relative accuracy: without the floor the run goes on to the last step.
    eigenvalues = torch.linspace(0, 1, 60).double() ** 3
    op = DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))
    assert extremes(op, floor=1e-2).steps < extremes(op, floor=0.0).steps


@pytest.mark.parametrize("first", [1, 4, 9])
def test_carrying_on_a_run_equals_one_longer_run(dense, first):
    run = Lanczos(dense, start(dense)).run(first)
    carried = extreme_eigenpairs(dense, run=run, max_steps=15, **FULL)
    whole = extreme_eigenpairs(dense, run=Lanczos(dense, start(dense)), max_steps=15, **FULL)
    for a, b in ((carried.smallest, whole.smallest), (carried.largest, whole.largest)):
        assert torch.equal(a.vector, b.vector)
        assert (a.value, a.residual_norm) == (b.value, b.residual_norm)
    assert carried.steps == whole.steps


def test_a_run_that_is_long_enough_makes_no_more_steps(dense):
    run = Lanczos(dense, start(dense)).run(20)
    assert extreme_eigenpairs(dense, run=run, max_steps=5, **FULL).steps == 20


def test_cost_is_the_steps_and_two_products(dense):
    products = []
    op = LambdaOperator(lambda v: products.append(1) or dense.matvec(v), dense.size)
    found = extremes(op, max_steps=11, **FULL)
    assert (found.steps, len(products)) == (11, 13)


@pytest.mark.parametrize("value", [0.0, -2.0, 3.0])
def test_a_multiple_of_the_identity_has_equal_ends(value):
    found = extremes(DenseOperator(value * torch.eye(7, dtype=DOUBLE)))
    # yᵀy of a float64 vector of length one differs from 1 by some ulp.
    assert found.smallest.value == pytest.approx(value, rel=1e-15, abs=0)
    assert found.largest.value == pytest.approx(value, rel=1e-15, abs=0)
    assert found.smallest.converged


def test_one_parameter():
    found = extremes(DenseOperator(torch.tensor([[-4.0]], dtype=DOUBLE)))
    assert (found.smallest.value, found.largest.value, found.steps) == (-4.0, -4.0, 1)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_start_that_misses_an_end_does_not_pass_for_converged(sign):
    # Every sign vector is an eigenvector of [[0, 1], [1, 0]], and its Krylov space closes at once.
    op = DenseOperator(torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=DOUBLE))
    run = Lanczos(op, torch.tensor([1.0, sign]))
    found = extreme_eigenpairs(op, run=run)
    right = (found.smallest.value, found.largest.value) == pytest.approx((-1.0, 1.0))
    assert right or not (found.smallest.converged and found.largest.converged)


def test_a_closed_space_does_not_hide_ends_that_lie_outside_it():
    # The start spans the eigenvalues 1, 3, 5 alone. Of the others, -1 to 4, the first Ritz value
    # after a restart lies near their mean, between the ends already found: it must not end the run.
    others = torch.linspace(-1, 4, 30, dtype=DOUBLE)
    op = DenseOperator(torch.diag(torch.cat([torch.tensor([1.0, 3.0, 5.0]), others])))
    run = Lanczos(op, torch.cat([torch.ones(3), torch.zeros(30)]))
    found = extreme_eigenpairs(op, run=run, tol=1e-6)
    # A residual of floor · max|θ| = 5e-4 leaves its square over the gap, some 1e-7.
    assert found.smallest.value == pytest.approx(-1.0, abs=2e-6)


@pytest.mark.parametrize("options", [{"tol": 0.0}, {"floor": -1.0}, {"max_steps": 0}])
def test_numbers_out_of_range_are_refused(dense, options):
    with pytest.raises(InputError, match="out of range"):
        extremes(dense, **options)


def test_a_source_of_randomness_is_required(dense):
    with pytest.raises(InputError, match="generator"):
        extreme_eigenpairs(dense)


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
    found = extreme_eigenpairs(op, run=run, max_basis=12, max_steps=3000, tol=1e-9, floor=1e-10)
    assert found.smallest.value == pytest.approx(-2, abs=1e-9)
    assert found.largest.value == pytest.approx(30, abs=1e-9)
    np.testing.assert_array_equal(run.tridiagonal().alphas[:first], before.alphas)


def test_a_run_whose_vectors_were_taken_over_makes_no_more_steps(dense):
    run = Lanczos(dense, start(dense))
    assert extreme_eigenpairs(dense, run=run, max_basis=6, **FULL).restarts > 0
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
    ends = restarted_extremes(run, max_basis=12, tol=1e-6, floor=1e-9, max_steps=2000)
    assert ends.restarts > 0
    low, high = (float(y @ op.matvec(y)) for y in ends.vectors)
    assert (low, high) == pytest.approx((-3.0, 9.0), abs=1e-6)


def test_a_closed_block_is_kept_when_a_later_one_is_restarted():
    # The start spans -4, 3, 30; the ends of the rest, -1 to 4, lie between.
    others = torch.linspace(-1, 4, 100, dtype=DOUBLE)
    op = DenseOperator(torch.diag(torch.cat([torch.tensor([-4.0, 3.0, 30.0]), others])))
    run = Lanczos(op, torch.cat([torch.ones(3), torch.zeros(100)]))
    found = extreme_eigenpairs(op, run=run, max_basis=12, max_steps=2000, tol=1e-6, floor=1e-7)
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
