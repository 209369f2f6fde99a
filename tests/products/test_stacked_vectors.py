"""Several vectors at once, and the layouts of memory."""

import functools

import pytest
import torch
from oracles import random_vector
from product_nets import (
    ROUNDING,
    TANGENT,
    assert_same_product,
    make_net,
    operator,
)

from spectra import InputError
from spectra.products import WAYS, Tuning
from spectra.products.tangent import reordering
from spectra.products.tuning import LAYOUTS

DOUBLE = torch.float64


EACH_WAY = pytest.mark.parametrize("way", WAYS)


@EACH_WAY
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_rows_of_matmat_are_matvecs_to_the_bit(way, dtype):
    op = operator("activations", products=way, dtype=dtype)
    vectors = torch.stack([random_vector(op.size, i, dtype=dtype) for i in range(3)])
    rows = op.matmat(vectors)
    assert all(torch.equal(row, op.matvec(v)) for row, v in zip(rows, vectors, strict=True))


@functools.cache
def by_double_backward(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    op = operator(make_net(name), products="double-backward")
    vectors = torch.stack([random_vector(op.size, i) for i in range(5)])
    return vectors, op.matmat(vectors)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stacked", [1, 2, 5])
@pytest.mark.parametrize("name", sorted(TANGENT))
def test_stacked_vectors_and_layouts_give_the_products_of_double_backward(name, stacked, layout):
    vectors, expected = by_double_backward(name)
    tuning = Tuning(layout=layout, stacked=stacked)
    op = operator(make_net(name), products="tangent", tuning=tuning)
    assert float((op.matmat(vectors) - expected).norm()) <= ROUNDING * float(expected.norm())


def test_weights_too_many_to_be_paired_give_the_same_products(monkeypatch):
    expected = operator("option-a", products="tangent")
    monkeypatch.setattr(reordering, "LARGEST_PAIRED", 0)
    op = operator("option-a", products="tangent")
    assert op._products.folding._joined.layers == []
    assert_same_product(op, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"layout": "nhwc"}, "channels-last, contiguous"), ({"stacked": 0}, "must be an integer")],
)
def test_a_tuning_that_does_not_exist_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        Tuning(**options)
