"""A large network without batch norms: its weights and vectors are used as they lie."""

import pytest
import torch
from oracles import random_vector
from product_nets import ROUNDING, assert_same_product, operator
from torch import nn

from spectra.products import Tuning
from spectra.products.tangent import unfolded
from spectra.products.tangent.unfolded import Unfolded


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.Tanh(), nn.Linear(5, 4))


def shared() -> nn.Module:
    """Two layers of one weight, which a third operation reads too."""
    torch.manual_seed(0)
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 5), first, nn.Tanh(), second, nn.Linear(5, 4))


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3, groups=2, bias=False), nn.Tanh(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4),
    )  # fmt: skip


def partly_frozen() -> nn.Module:
    net = mlp()
    net[1].weight.requires_grad_(False)
    net[3].bias.requires_grad_(False)
    return net


NETS = [mlp, shared, convolutions, partly_frozen]


@pytest.fixture(autouse=True)
def _no_network_is_too_small(monkeypatch):
    monkeypatch.setattr(unfolded, "LARGEST_PAIRED", 0)


@pytest.mark.parametrize("make", NETS)
def test_products_of_weights_as_they_lie_are_those_of_double_backward(make):
    torch.manual_seed(1)
    model = make()
    op = operator(model, products="tangent")
    assert isinstance(op._products.folding, Unfolded)
    assert_same_product(op, operator(model, products="double-backward"))


@pytest.mark.parametrize("make", NETS)
def test_several_vectors_and_second_derivatives_are_those_of_single_products(make):
    torch.manual_seed(1)
    model = make()
    expected = operator(model, products="double-backward")
    vectors = torch.stack([random_vector(expected.size, i) for i in range(3)])
    products = expected.matmat(vectors)
    op = operator(model, products="tangent", tuning=Tuning(stacked=2))
    assert float((op.matmat(vectors) - products).norm()) <= ROUNDING * float(products.norm())
    bent, _ = op.second_derivatives(vectors)
    # A quadratic form of the same rounding, relative to the length of its product.
    allowed = ROUNDING * float(products.norm() * vectors.norm())
    torch.testing.assert_close(bent, (vectors * products).sum(1), rtol=0, atol=allowed)


@pytest.mark.parametrize("make", NETS)
def test_the_gauss_newton_matrix_is_the_same(make):
    torch.manual_seed(1)
    model = make()
    wanted = operator(model, products="double-backward").gauss_newton()
    assert_same_product(operator(model, products="tangent").gauss_newton(), wanted)


def test_no_weight_is_copied():
    model = mlp()
    op = operator(model, products="tangent")
    held = [weight.data_ptr() for weight in op._products.folding.weights]
    assert held == [p.data_ptr() for p in op.parameters if p.ndim == 2]


def test_layers_with_a_batch_norm_are_folded():
    assert not isinstance(operator("option-a", products="tangent")._products.folding, Unfolded)
