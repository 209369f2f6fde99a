"""The best steps in a Krylov space are those of the dense problem, confined or not."""

import pytest
import torch
from oracles import random_vector, symmetric_with_spectrum

from spectra import DenseOperator
from spectra.landscape.walk.gradient_model import GradientModel

SIZE = 20
MATRIX = symmetric_with_spectrum(torch.linspace(-1.0, 3.0, SIZE), seed=0)
GRADIENT = random_vector(SIZE, "gradient")


def full_model() -> GradientModel:
    model = GradientModel(DenseOperator(MATRIX), GRADIENT)
    model.grow(SIZE)
    return model


def test_a_wide_radius_gives_newtons_step_to_the_saddle():
    best = full_model().step(1e6)
    newton = -torch.linalg.solve(MATRIX, GRADIENT)
    # cond(H) is 30 here: some thousand ulp.
    torch.testing.assert_close(best.step, newton, rtol=0, atol=1e-12 * float(newton.norm()) * 1e2)
    assert not best.confined
    assert best.left < 1e-12


@pytest.mark.parametrize("radius", [1e-3, 0.1, 1.0])
def test_a_confined_step_is_the_damped_one_of_that_length(radius):
    best = full_model().step(radius)
    assert best.confined
    # The bisection ends where two neighbouring floats are.
    assert best.length == pytest.approx(radius, rel=1e-9)
    left = GRADIENT + MATRIX @ best.step
    # Stationary on the sphere: H (g + H p) = -μ p.
    slope = MATRIX @ left
    damping = -float(slope @ best.step) / radius**2
    assert damping > 0
    assert float((slope + damping * best.step).norm()) < 1e-9 * float(slope.norm())
    assert best.left == pytest.approx(float(left.norm() / GRADIENT.norm()), rel=1e-10)


def test_more_dimensions_leave_less_of_the_gradient():
    model, left = GradientModel(DenseOperator(MATRIX), GRADIENT), []
    for steps in (2, 5, 10, SIZE):
        model.grow(steps)
        left.append(model.left(1e6))
    assert left == sorted(left, reverse=True)


def test_the_newton_decrement_is_that_of_the_positive_part():
    values, vectors = torch.linalg.eigh(MATRIX)
    along = vectors.T @ GRADIENT
    positive = values > 1e-9
    expected = float((along[positive] ** 2 / values[positive]).sum())
    assert full_model().newton_decrement() == pytest.approx(expected, rel=1e-9)


def test_a_singular_hessian_that_the_gradient_is_in_the_range_of_has_a_step():
    values = torch.tensor([0.0, 0.0, 1.0, 2.0]).double()
    matrix = symmetric_with_spectrum(values, seed=1)
    gradient = matrix @ random_vector(4, "range")
    model = GradientModel(DenseOperator(matrix), gradient)
    model.grow(4)
    best = model.step(1e6)
    assert best.left < 1e-12
    expected = -torch.linalg.pinv(matrix, rtol=1e-10) @ gradient
    torch.testing.assert_close(best.step, expected, rtol=0, atol=1e-12)


def test_a_step_is_no_longer_than_what_it_is_for_asks():
    # Where H has an eigenvalue of 1e-6, the last .5 % of g asks for a step of 5,000.
    matrix = torch.diag(torch.tensor([1.0, 1e-6]).double())
    model = GradientModel(DenseOperator(matrix), torch.tensor([1.0, 0.005]).double())
    model.grow(2)
    assert model.step(1e6).length == pytest.approx(5000, rel=1e-2)
    near = model.step(1e6, spare=0.01)
    assert near.length < 1.01
    assert near.left <= 0.011
