"""Second derivatives along lines, without a product: vᵀHv of the same networks and layers."""

from collections.abc import Iterator

import pytest
import torch
from graph_nets import CASES, Case
from oracles import cross_entropy, dense_hessian, random_vector
from product_nets import TANGENT, images_and_labels, make_net, operator
from torch.nn.attention import SDPBackend, sdpa_kernel

from spectra import HessianOperator
from spectra.products import make_products

# Relative to the sum of the sizes of the terms: sums of some thousand in float64, in another order.
ROUNDING = 1e-13


@pytest.fixture(params=sorted(CASES))
def case(request) -> Iterator[Case]:
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        yield CASES[request.param]()


def both_ways(case: Case, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return vᵀHv of each row by products, without them, and the sizes of its terms."""
    made = make_products("tangent", case.model, cross_entropy)
    oracle = make_products("double-backward", case.model, cross_entropy)
    weights = torch.linspace(0.5, 2, len(case.labels), dtype=torch.float64)
    chunk = made.linearise(case.batch, case.labels, weights)
    found, sizes = chunk.second_derivatives(made.direction(vectors))
    graph = oracle.linearise(case.batch, case.labels, weights)
    expected = [v @ graph.product(oracle.direction(v)) for v in vectors.reshape(-1, case.size)]
    return torch.stack(expected), found, sizes


@pytest.mark.parametrize("count", [1, 3])
def test_second_derivatives_of_any_graph_are_those_of_double_backward(case, count):
    vectors = torch.stack([random_vector(case.size, i) for i in range(count)])
    expected, found, sizes = both_ways(case, vectors.squeeze(0))
    assert bool(((found - expected).abs() <= ROUNDING * sizes).all())
    assert bool((sizes >= found.abs()).all())


def test_frozen_parameters_leave_the_second_derivatives_of_the_others(case):
    for i, parameter in enumerate(case.model.parameters()):
        parameter.requires_grad_(i % 3 != 1)
    expected, found, sizes = both_ways(case, random_vector(case.size, "v"))
    assert bool(((found - expected).abs() <= ROUNDING * sizes).all())


@pytest.mark.parametrize("name", TANGENT)
def test_second_derivatives_of_a_network_are_those_of_its_products(name):
    op = operator(name, weights=torch.linspace(0, 2, 7), products="tangent")
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    found, sizes = op.second_derivatives(vectors)
    expected = (vectors * op.matmat(vectors)).sum(1)
    assert bool(((found - expected).abs() <= ROUNDING * sizes).all())


@pytest.mark.parametrize("name", ["conv-bn-relu", "activations", "bn-without-affine", "max-pool"])
def test_second_derivatives_are_those_of_the_dense_hessian(name):
    op = operator(name, products="tangent")
    dense = dense_hessian(make_net(name), *images_and_labels())
    v = random_vector(op.size, "v")
    (found,), (size,) = op.second_derivatives(v[None])
    assert abs(float(found - v @ dense @ v)) <= ROUNDING * float(size)


def test_a_second_derivative_counts_half_a_product():
    op = operator("conv-bn-relu", products="tangent")
    before = op.count.total
    op.second_derivatives(random_vector(op.size, "v")[None])
    assert op.count.total - before == op.num_images / 2


def test_second_derivatives_in_float64_count_twice():
    op = HessianOperator(make_net("conv-bn-relu"), *images_and_labels(), dtype=torch.float32)
    before = op.count.total
    op.in_float64().second_derivatives(random_vector(op.size, "v")[None])
    assert op.count.total - before == op.num_images


def test_where_products_are_double_backward_second_derivatives_come_from_them():
    op = operator("control-flow-by-value")
    assert op.choice.name == "double-backward"
    v = random_vector(op.size, "v")
    (found,), (size,) = op.second_derivatives(v[None])
    assert abs(float(found - v @ op.matvec(v))) <= ROUNDING * float(size)


def test_a_way_that_has_no_second_derivatives_of_its_own_says_so():
    made = operator("conv-bn-relu", products="double-backward")._linearised(slice(0, 3))
    with pytest.raises(NotImplementedError):
        made.second_derivatives(None)
