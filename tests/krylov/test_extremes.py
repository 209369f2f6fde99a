"""Extreme eigenpairs: values, residuals, convergence, one pair at each end."""

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
from spectra.krylov.extremes import extremes_of_run
from spectra.krylov.tolerance import Tolerance

DOUBLE = torch.float64
FULL = {"tol": 1e-8, "floor": 1e-10}
FULL_TOLERANCE = Tolerance(**FULL)


def extremes(op, **options):
    start = {"min_steps": 1, "generator": make_generator(0, "start")}
    options = {"max_steps": op.size, "proof": False, **start, **options}
    return extreme_eigenpairs(op, **options)


def operator(net, dtype=DOUBLE) -> HessianOperator:
    return HessianOperator(net.model, net.images, net.labels, dtype=dtype, micro_chunk=9)


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


def test_goes_on_for_evidence_after_both_residuals_meet_the_tolerance_and_then_stops(dense):
    found = extremes(dense, tol=1e-2, floor=0.0)

    def met(steps):
        run = Lanczos(dense, start(dense))
        run.run(steps)
        t = run.tridiagonal()
        return (t.residual_bounds()[[0, -1]] <= 1e-2 * np.abs(t.ritz_values()[[0, -1]])).all()

    first = next(steps for steps in range(2, found.steps + 1) if met(steps))
    assert first <= found.steps <= 1.5 * first + 12
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
    carried = extremes_of_run(run, max_steps=15, tolerance=FULL_TOLERANCE)
    whole = extremes_of_run(Lanczos(dense, start(dense)), max_steps=15, tolerance=FULL_TOLERANCE)
    for a, b in ((carried.smallest, whole.smallest), (carried.largest, whole.largest)):
        assert torch.equal(a.vector, b.vector)
        assert (a.value, a.residual_norm) == (b.value, b.residual_norm)
    assert carried.steps == whole.steps


def test_a_run_that_is_long_enough_makes_no_more_steps(dense):
    run = Lanczos(dense, start(dense)).run(20)
    assert extremes_of_run(run, max_steps=5, tolerance=FULL_TOLERANCE).steps == 20


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
    found = extremes_of_run(run, tolerance=Tolerance())
    right = (found.smallest.value, found.largest.value) == pytest.approx((-1.0, 1.0))
    assert right or not (found.smallest.converged and found.largest.converged)


def test_a_closed_space_does_not_hide_ends_that_lie_outside_it():
    # The start spans the eigenvalues 1, 3, 5 alone. Of the others, -1 to 4, the first Ritz value
    # after a restart lies near their mean, between the ends already found: it must not end the run.
    others = torch.linspace(-1, 4, 30, dtype=DOUBLE)
    op = DenseOperator(torch.diag(torch.cat([torch.tensor([1.0, 3.0, 5.0]), others])))
    run = Lanczos(op, torch.cat([torch.ones(3), torch.zeros(30)]))
    found = extremes_of_run(run, tolerance=Tolerance(1e-6))
    # A residual of floor · max|θ| = 5e-4 leaves its square over the gap, some 1e-7.
    assert found.smallest.value == pytest.approx(-1.0, abs=2e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tol": 0.0}, "tol must be > 0"),
        ({"floor": -1.0}, "floor >= 0"),
        ({"max_steps": 0}, "max_steps must be an integer of at least 1, got 0"),
        ({"min_steps": 0}, "min_steps must be an integer of at least 1, got 0"),
        ({"k": 0}, "k must be an integer in 1..59, got 0"),
        ({"k": 60}, "k must be an integer in 1..59, got 60"),
        ({"k": 2.0}, "k must be an integer in 1..59, got 2.0"),
    ],
)
def test_numbers_out_of_range_are_refused(dense, options, said):
    with pytest.raises(InputError, match=said):
        extremes(dense, **options)
