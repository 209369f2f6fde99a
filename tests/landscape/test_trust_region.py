"""The best step within a radius, against its optimality conditions and dense solutions."""

import numpy as np
import pytest
import torch
from oracles import (
    build_net,
    dense_hessian,
    images_and_labels,
    random_vector,
    symmetric_with_spectrum,
)
from torch import Tensor

from spectra import (
    DenseOperator,
    Eigenpair,
    InputError,
    LambdaOperator,
    NonFiniteError,
    class_hessian,
)
from spectra.landscape.model_steps import TOLERANCE, model_steps
from spectra.landscape.trust_region import best_step

SPECTRA = {
    "indefinite": torch.linspace(-1.0, 5.0, 30),
    "positive": torch.linspace(0.1, 5.0, 30),
    "singular": torch.cat([torch.zeros(10), torch.linspace(0.5, 4.0, 20)]),
    "stiff": torch.cat([-torch.logspace(-4, -1, 10), torch.logspace(-4, 2, 20)]),
    "negative": -torch.linspace(0.2, 2.0, 30),
}


def pairs(matrix: Tensor, *indices: int) -> list[Eigenpair]:
    values, vectors = torch.linalg.eigh(matrix)
    return [Eigenpair(float(values[i]), vectors[:, i], 0.0, True) for i in indices]


def dense_decreases(matrix: Tensor, gradient: Tensor, radius: float) -> tuple[float, float]:
    values, vectors = torch.linalg.eigh(matrix)
    cut = (vectors * values.clamp(min=0.0)) @ vectors.T
    both = (best_step(m.numpy(), gradient.numpy(), radius) for m in (matrix, cut))
    first, second = (found.decrease for found in both)
    return first, second


@pytest.mark.parametrize("radius", [1e-3, 0.3, 50.0])
@pytest.mark.parametrize("hard", [False, True], ids=["generic", "hard case"])
@pytest.mark.parametrize("kind", SPECTRA)
def test_the_dense_step_meets_the_conditions_of_more_and_sorensen(kind, hard, radius):
    matrix = symmetric_with_spectrum(SPECTRA[kind], seed=1)
    gradient = random_vector(30, "slope")
    if hard:
        lowest = torch.linalg.eigh(matrix).eigenvectors[:, 0]
        gradient -= (gradient @ lowest) * lowest
    found = best_step(matrix.numpy(), gradient.numpy(), radius)
    shifted = matrix.numpy() + found.multiplier * np.eye(30)
    left = shifted @ found.step + gradient.numpy()
    length = np.linalg.norm(found.step)
    # A few ulp of what is added up: g and (H + σ) s.
    assert np.linalg.norm(left) <= 1e-9 * (np.linalg.norm(gradient) + np.linalg.norm(shifted))
    assert np.linalg.eigvalsh(shifted)[0] >= -1e-12 * np.linalg.norm(shifted)
    assert length <= radius * (1 + 1e-9)
    assert found.multiplier == 0 or length == pytest.approx(radius, rel=1e-9)


def test_no_point_of_a_fine_grid_is_better_in_two_dimensions():
    matrix, slope = np.array([[-1.0, 0.6], [0.6, 2.0]]), np.array([0.05, -0.3])
    angles, lengths = np.meshgrid(np.linspace(0, 2 * np.pi, 721), np.linspace(0, 0.8, 161))
    x, y = lengths * np.cos(angles), lengths * np.sin(angles)
    values = slope[0] * x + slope[1] * y + 0.5 * (-(x**2) + 1.2 * x * y + 2 * y**2)
    found = best_step(matrix, slope, 0.8).decrease
    # The grid's angle is off by at most π/720, and the model by its square.
    assert -values.min() <= found <= -values.min() + 1e-4


@pytest.mark.parametrize("radius", [0.02, 0.3, 3.0])
@pytest.mark.parametrize("kind", SPECTRA)
def test_both_decreases_are_those_of_the_whole_space(kind, radius):
    matrix = symmetric_with_spectrum(SPECTRA[kind], seed=2)
    gradient = random_vector(30, "slope")
    found = model_steps(
        DenseOperator(matrix), gradient, radius, known=pairs(matrix, 0, -1), max_products=28
    )
    first, second = dense_decreases(matrix, gradient, radius)
    assert found.converged
    # The claim is TOLERANCE for each change; what is left of the one without may be twice that.
    assert found.with_bending.decrease == pytest.approx(first, abs=TOLERANCE * first)
    assert found.without.decrease == pytest.approx(second, abs=2 * TOLERANCE * first)


@pytest.mark.parametrize("radius", [0.03, 0.1, 0.5])
def test_both_decreases_are_those_of_the_whole_space_on_a_network(radius):
    net = build_net("smooth_mlp")
    images, labels = images_and_labels(30)
    op = class_hessian(net, images, labels, 1, dtype=torch.float64)
    part = labels == 1
    matrix, gradient = dense_hessian(net, images[part], labels[part]), op.gradient()
    found = model_steps(op, gradient, radius, known=pairs(matrix, 0, -1))
    first, second = dense_decreases(matrix, gradient, radius)
    assert found.with_bending.decrease == pytest.approx(first, abs=TOLERANCE * first)
    assert found.without.decrease == pytest.approx(second, abs=2 * TOLERANCE * first)


def test_the_hard_case_is_seen_through_the_known_eigenvector_alone():
    matrix = torch.diag(torch.tensor([-4.0, 1.0, 2.0, 3.0], dtype=torch.float64))
    op, gradient = DenseOperator(matrix), torch.tensor([0.0, 0.1, 0.1, 0.1], dtype=torch.float64)
    blind = model_steps(op, gradient, 1.0)
    seeing = model_steps(op, gradient, 1.0, known=pairs(matrix, 0))
    first, second = dense_decreases(matrix, gradient, 1.0)
    assert blind.with_bending.decrease == pytest.approx(second, rel=1e-6)
    assert seeing.with_bending.decrease == pytest.approx(first, rel=TOLERANCE)
    assert seeing.without.decrease == pytest.approx(second, rel=TOLERANCE)


@pytest.mark.parametrize("kind", SPECTRA)
def test_along_a_step_negative_curvature_adds_what_its_bent_part_has(kind):
    """The model at the step is that without bending, less what is said to be added."""
    matrix = symmetric_with_spectrum(SPECTRA[kind], seed=3)
    gradient = random_vector(30, "slope")
    found = model_steps(
        DenseOperator(matrix), gradient, 0.3, known=pairs(matrix, 0), max_products=30
    ).without
    kept = -float(gradient @ found.step + 0.5 * found.step @ matrix @ found.step)
    assert found.decrease + found.bent_decrease == pytest.approx(kept, rel=1e-9)


def test_a_gradient_within_the_known_eigenvectors_costs_no_product():
    matrix = torch.diag(torch.tensor([-1.0, 0.5, 4.0], dtype=torch.float64))
    op = LambdaOperator(lambda v: pytest.fail("a product was made"), 3)
    gradient = torch.tensor([0.3, 0.0, 0.7], dtype=torch.float64)
    found = model_steps(op, gradient, 0.2, known=pairs(matrix, 0, -1))
    assert (found.products, found.converged) == (0, True)
    assert found.with_bending.decrease == pytest.approx(
        best_step(matrix.numpy(), gradient.numpy(), 0.2).decrease, rel=1e-12
    )


def test_without_a_gradient_all_of_the_decrease_is_bending():
    matrix = torch.diag(torch.tensor([-2.0, 1.0], dtype=torch.float64))
    nothing = torch.zeros(2, dtype=torch.float64)
    found = model_steps(DenseOperator(matrix), nothing, 0.5, known=pairs(matrix, 0))
    assert found.with_bending.decrease == pytest.approx(0.25)  # ½ · 2 · .5²
    assert (found.without.decrease, found.products) == (0.0, 0)


def test_a_dominant_gradient_is_settled_by_few_products():
    matrix = symmetric_with_spectrum(torch.linspace(-0.1, 1.0, 200), seed=4)
    found = model_steps(
        DenseOperator(matrix), 10 * random_vector(200, "slope"), 0.1, known=pairs(matrix, 0, -1)
    )
    assert found.converged
    assert found.products <= 2


def test_too_few_products_are_said():
    matrix = symmetric_with_spectrum(torch.cat([-torch.ones(1), torch.logspace(-5, 3, 99)]), seed=5)
    gradient = random_vector(100, "slope")
    assert not model_steps(DenseOperator(matrix), gradient, 1.0, max_products=2).converged


def test_a_product_of_nan_is_an_error():
    op = LambdaOperator(lambda v: v * float("nan"), 3)
    with pytest.raises(NonFiniteError, match="product 1 held NaN"):
        model_steps(op, torch.ones(3, dtype=torch.float64), 0.1)


@pytest.mark.parametrize("radius", [0.0, -1.0, float("inf"), float("nan")])
def test_a_radius_that_is_none_is_refused(radius):
    op = DenseOperator(torch.eye(2, dtype=torch.float64))
    with pytest.raises(InputError, match="radius must be positive"):
        model_steps(op, torch.ones(2, dtype=torch.float64), radius)
