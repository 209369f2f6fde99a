"""Second derivatives of each image's own loss, from one pass over several."""

import pytest
import torch
from oracles import random_vector
from product_nets import operator
from torch import nn

from spectra.operators.curvatures import (
    by_products,
    by_second_derivatives,
    images_are_told_apart,
)

# Relative to the sizes of the terms: sums of some thousand in float64, in another order.
ROUNDING = 1e-12


class Swapped(nn.Module):
    """A network with values whose images are on the second axis, three as their channels are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 3, 3), nn.Linear(3, 4)

    def forward(self, x):
        values = self.first(x).mean((2, 3)).transpose(0, 1)
        return self.last((values * values.detach().sigmoid()).transpose(0, 1))


@pytest.mark.parametrize("weights", [None, torch.linspace(0, 2, 7)], ids=["equal", "weighted"])
@pytest.mark.parametrize("name", ["option-a", "strides", "groups", "no-bias", "cosine-head"])
def test_curvatures_are_those_of_products_of_each_image(name, weights):
    op = operator(name, weights=weights, products="tangent", micro_chunk=4)
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    expected = by_products(op, vectors)
    for apart in {False, images_are_told_apart(op)}:
        op._products.tells_images_apart = apart
        found, sizes = by_second_derivatives(op, vectors)
        assert bool(((found - expected).abs() <= ROUNDING * sizes).all())


@pytest.mark.parametrize(("name", "apart"), [("option-a", True), ("cosine-head", False)])
def test_images_are_told_apart_where_no_parameter_moves_but_those_of_layers(name, apart):
    assert images_are_told_apart(operator(name, products="tangent")) == apart


def test_images_on_another_axis_are_not_told_apart():
    assert not images_are_told_apart(operator(Swapped().double(), products="tangent"))
