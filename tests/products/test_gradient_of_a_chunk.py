"""Gradients, losses and one pass in float64, from the layers that a network was read as."""

import pytest
import torch
from oracles import random_vector
from product_nets import operator

from spectra.operators.many_losses.exact_pass import exact_pass
from spectra.operators.many_losses.same_network import Networks

NAMES = ["option-a", "strides", "groups", "no-bias", "strided-1x1", "bn-without-affine"]
# Relative: sums of some thousand in float64, in another order.
ROUNDING = 1e-11


@pytest.fixture(params=NAMES)
def given(request):
    return operator(request.param, products="tangent", weights=torch.linspace(0.5, 2, 7))


def close(found, expected) -> bool:
    return bool((found - expected).norm() <= ROUNDING * expected.norm())


def test_one_pass_gives_values_curvatures_and_gradient(given):
    op = Networks.like(given).holding(given, 0)
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    found = exact_pass(op, vectors)
    assert found is not None
    values, _ = given.second_derivatives(vectors)
    assert bool(((found.values - values).abs() <= ROUNDING * found.sizes).all())
    assert close(found.gradient, given.gradient())
    weighted = (found.curvatures * given.weights).sum(1) / given.total_weight
    assert bool(((weighted - values).abs() <= ROUNDING * found.sizes).all())


@pytest.mark.parametrize("name", NAMES)
def test_losses_of_the_layers_are_those_of_the_network_wherever_its_parameters_are(name):
    single = operator(name, products="tangent", dtype=torch.float32)
    double = Networks.like(single).holding(single, 0).in_float64()
    usual = single.in_float64()
    step = 0.1 * random_vector(single.size, "step")
    assert double.loss() == pytest.approx(usual.loss(), rel=ROUNDING)
    with double.moved(step), usual.moved(step):
        assert double.loss() == pytest.approx(usual.loss(), rel=ROUNDING)


@pytest.mark.parametrize("name", NAMES)
def test_products_of_the_copies_are_the_same_to_the_last_bit(name):
    given = operator(name, products="tangent", dtype=torch.float32)
    v = random_vector(given.size, "v", dtype=torch.float32)
    assert torch.equal(Networks.like(given).holding(given, 0).matvec(v), given.matvec(v))
