"""Linear maps whose weight is a value have the products of double backward."""

import itertools

import pytest
import torch.nn.functional as F
from layer_cases import assert_layer, draw

from spectra.products.layers.linear import Linear

MOVING = [m for m in itertools.product([True, False], repeat=3) if any(m)]


@pytest.mark.parametrize("lead", [(1,), (3,), (3, 2), (3, 2, 4)], ids=str)
@pytest.mark.parametrize("moving", MOVING, ids=str)
def test_linear(moving, lead):
    values = (draw(*lead, 5), draw(4, 5, name="W"), draw(4, name="b"))
    assert_layer(Linear(), F.linear, values, moving)


@pytest.mark.parametrize("moving", [(True, True), (False, True), (True, False)], ids=str)
def test_linear_without_bias(moving):
    assert_layer(Linear(), F.linear, (draw(3, 2, 5), draw(4, 5, name="W")), moving)
