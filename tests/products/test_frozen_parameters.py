"""Parameters that are not trained leave the products of the others as they are."""

import pytest
import torch
from oracles import random_vector
from product_nets import (
    ROUNDING,
    assert_same_product,
    make_net,
    operator,
)
from torch import nn

from spectra.products import Tuning

FROZEN = {
    "all-weights": lambda name, p: p.ndim > 1,
    "all-vectors": lambda name, p: p.ndim == 1,
    "norm-weights": lambda name, p: p.ndim == 1 and name.endswith("weight"),
    "biases": lambda name, p: name.endswith("bias"),
    "all-but-first": None,
    "all-but-last": None,
}


def freeze(model: nn.Module, which: str) -> nn.Module:
    named = list(model.named_parameters())
    kept = {"all-but-first": named[0][0], "all-but-last": named[-1][0]}.get(which)
    for name, p in named:
        frozen = name != kept if kept is not None else FROZEN[which](name, p)
        p.requires_grad_(not frozen)
    return model


@pytest.mark.parametrize("which", FROZEN)
@pytest.mark.parametrize(
    ("way", "name"),
    [
        *(("tangent", name) for name in ("conv-bn-relu", "activations", "cosine-head")),
        ("tangent", "flatten-first"),
    ],
)
def test_frozen_parameters_leave_the_products_of_the_others(way, name, which):
    model = freeze(make_net(name), which)
    assert_same_product(
        operator(model, products=way, micro_chunk=7),
        operator(model, products="double-backward"),
    )


@pytest.mark.parametrize("which", FROZEN)
@pytest.mark.parametrize("name", ["conv-bn-relu", "activations", "groups"])
def test_stacked_vectors_leave_frozen_parameters_out(name, which):
    model = freeze(make_net(name), which)
    op = operator(model, products="tangent", tuning=Tuning(stacked=3))
    vectors = torch.stack([random_vector(op.size, i) for i in range(3)])
    expected = operator(model, products="double-backward").matmat(vectors)
    assert float((op.matmat(vectors) - expected).norm()) <= ROUNDING * float(expected.norm())
