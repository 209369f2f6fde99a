"""Sums, products and quotients of two values have the products of double backward."""

import operator

import pytest
from layer_cases import assert_layer, draw

from spectra.products.layers.arithmetic import Product, Quotient, WeightedSum

SHAPES = [
    ((3, 4, 2), (3, 4, 2)),
    ((3, 4, 2), (2,)),
    ((3, 4, 2), (3, 1, 2)),
    ((1, 4, 2), (3, 4, 1)),
    ((4, 1), (3, 4, 2)),
    ((3, 4), ()),
    ((), (3, 4)),
]
LAYERS = {
    "sum": (WeightedSum(), operator.add),
    "difference": (WeightedSum(-1), operator.sub),
    "weighted": (WeightedSum(0.5), lambda x, y: x + 0.5 * y),
    "product": (Product(), operator.mul),
    "quotient": (Quotient(), operator.truediv),
}


@pytest.mark.parametrize("moving", [(True, True), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_two_values(name, shapes, moving):
    layer, function = LAYERS[name]
    x, y = draw(*shapes[0], name="x"), draw(*shapes[1], name="y")
    # The divisor is kept away from 0.
    assert_layer(layer, function, (x, y.sign() * (1 + y.abs())), moving)
