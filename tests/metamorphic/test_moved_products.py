"""Products, diagonals and gradients move as the matrix does where a loss is changed."""

import pytest
import torch
from oracles import random_vector
from relations import DOUBLE, IN_PLACE, RELATIONS, case_of, operator_of
from torch import Tensor

# Relative to the length of what is compared: sums over a dozen images and some hundred parameters
# in float64, in two orders.
ROUNDING = 1e-12
KINDS = ("dense", "convolutional")
WAYS = ("tangent", "double-backward")
# Its Gauss-Newton matrix is that of the outputs, in which the loss adds c‖w‖² without bending.
OF_THE_NETWORK = "c‖w‖² by the network"


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert float(expected.norm()) > 0
    assert float((found - expected).norm()) <= ROUNDING * float(expected.norm())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RELATIONS)
def test_products_made_in_every_way_move_as_the_matrix(name, kind):
    relation, case = RELATIONS[name], case_of(kind)
    v = random_vector(operator_of(kind).size, "v")
    carried = relation.carried(case, v)
    expected = relation.factor * relation.carried(case, operator_of(kind) @ v)
    expected += relation.shift * carried
    changed = relation.change(case)
    for way in WAYS if name != OF_THE_NETWORK else WAYS[1:]:
        assert_close(changed.operator(products=way) @ carried, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in RELATIONS if name != OF_THE_NETWORK])
def test_gauss_newton_products_move_as_the_matrix(name, kind):
    relation, case = RELATIONS[name], case_of(kind)
    v = random_vector(operator_of(kind).size, "v")
    carried = relation.carried(case, v)
    expected = relation.factor * relation.carried(case, operator_of(kind).gauss_newton() @ v)
    expected += relation.shift * carried
    assert_close(relation.change(case).operator().gauss_newton() @ carried, expected)


@pytest.mark.parametrize("name", RELATIONS)
def test_second_derivatives_along_vectors_move_as_the_matrix(name):
    relation, case = RELATIONS[name], case_of("convolutional")
    rows = torch.stack([random_vector(operator_of("convolutional").size, name) for name in "uv"])
    carried = torch.stack([relation.carried(case, v) for v in rows])
    expected = relation.factor * operator_of("convolutional").second_derivatives(rows)[0]
    expected += relation.shift * rows.square().sum(1)
    assert_close(relation.change(case).operator().second_derivatives(carried)[0], expected)


@pytest.mark.parametrize("name", RELATIONS)
def test_loss_and_gradient_move_as_the_formula_says(name):
    relation, case = RELATIONS[name], case_of("dense")
    before, after = operator_of("dense"), relation.change(case).operator()
    weights = torch.cat([p.detach().reshape(-1) for p in case.model.parameters()])
    loss = relation.factor * before.loss() + relation.shift / 2 * float(weights @ weights)
    gradient = relation.factor * before.gradient() + relation.shift * weights
    assert after.loss() == pytest.approx(loss, rel=ROUNDING)
    assert_close(after.gradient(), relation.carried(case, gradient))


@pytest.mark.parametrize("name", IN_PLACE)
def test_an_estimated_diagonal_and_its_error_move_as_the_matrix(name):
    relation, case = RELATIONS[name], case_of("dense")
    before, after = operator_of("dense").diagonal(), relation.change(case).operator().diagonal()
    assert_close(after.values, relation.factor * before.values + relation.shift)
    assert_close(after.standard_error, relation.factor * before.standard_error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 2, 7, 13, 100])
def test_other_chunks_change_products_by_rounding_alone(kind, chunk):
    case = case_of(kind)
    v = random_vector(operator_of(kind).size, "v")
    changed = case.operator(micro_chunk=chunk)
    assert_close(changed @ v, operator_of(kind) @ v)
    assert_close(changed.gauss_newton() @ v, operator_of(kind).gauss_newton() @ v)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_float32_products_are_those_of_float64_to_its_rounding(kind, way):
    case = case_of(kind)
    v = random_vector(operator_of(kind).size, "v")
    found = (case.operator(dtype=torch.float32, products=way) @ v.float()).double()
    exact = operator_of(kind) @ v
    # 1e-7 an operation, in a chain of some ten; a float64 product is closer by nine digits.
    assert 1e-10 < float((found - exact).norm()) / float(exact.norm()) < 2e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_is_the_weighted_sum_of_its_two_halves(kind):
    case = case_of(kind)
    whole = operator_of(kind)
    v = random_vector(whole.size, "v")
    parts = torch.arange(5), torch.arange(5, 13)
    halves = [case.of(part).operator() for part in parts]
    shares = [len(part) / 13 for part in parts]
    for measured in (
        lambda op: op @ v,
        lambda op: op.gauss_newton() @ v,
        lambda op: op.gradient(),
        lambda op: op.diagonal().values,
        lambda op: torch.tensor([op.loss()], dtype=DOUBLE),
    ):
        summed = sum(s * measured(half) for s, half in zip(shares, halves, strict=True))
        assert_close(summed, measured(whole))


def test_weight_passed_through_a_relu_layer_multiplies_rows_and_columns():
    """ReLU(a x) / a = ReLU(x), so w -> D w leaves the loss, and H becomes D⁻¹ H D⁻¹."""
    case = case_of("dense")
    through = torch.tensor([0.5, 2.0, 3.0, 0.25], dtype=DOUBLE)
    # Into the ReLU layer and its bias, and out of it.
    scales = {"3.weight": through[:, None], "3.bias": through, "5.weight": 1 / through}
    changed = case.with_parameters(
        lambda named: {n: t * scales.get(n, 1) for n, t in named.items()}
    )
    inverse = torch.cat(
        [
            (torch.ones_like(p) / scales.get(name, 1)).reshape(-1)
            for name, p in case.model.named_parameters()
        ]
    ).detach()
    v = random_vector(len(inverse), "v")
    for way in WAYS:
        before, after = case.operator(products=way), changed.operator(products=way)
        assert after.loss() == pytest.approx(before.loss(), rel=ROUNDING)
        assert_close(after @ v, inverse * (before @ (inverse * v)))
        product = before.gauss_newton() @ (inverse * v)
        assert_close(after.gauss_newton() @ v, inverse * product)


def test_an_image_of_weight_two_is_that_image_twice():
    case = case_of("convolutional")
    v = random_vector(operator_of("convolutional").size, "v")
    twice = torch.tensor([*range(13), 4])
    weights = torch.ones(13, dtype=DOUBLE)
    weights[4] = 2
    assert_close(case.weighing(weights).operator() @ v, case.of(twice).operator() @ v)


def test_an_image_of_weight_zero_might_as_well_be_absent():
    case = case_of("convolutional")
    v = random_vector(operator_of("convolutional").size, "v")
    weights = torch.ones(13, dtype=DOUBLE)
    weights[[3, 11]] = 0
    rest = torch.nonzero(weights)[:, 0]
    assert_close(case.weighing(weights).operator() @ v, case.of(rest).operator() @ v)
