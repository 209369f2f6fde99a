"""Softmax and attention have the products of double backward."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from layer_cases import assert_layer, draw

from spectra.products.layers.softmax import LogSoftmax, Softmax
from spectra.products.sequences.attention import Attention

MOVING = [m for m in itertools.product([True, False], repeat=3) if any(m)]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_softmax(axis, n):
    assert_layer(Softmax(axis), lambda x: x.softmax(axis), (draw(n, 4, 5),))
    assert_layer(LogSoftmax(axis), lambda x: x.log_softmax(axis), (draw(n, 4, 5),))


def queries_keys_values(n=2, *, keys=5):
    return draw(n, 2, 4, 3, name="q"), draw(n, 2, keys, 3, name="k"), draw(n, 2, keys, 6, name="v")


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("moving", MOVING, ids=str)
def test_attention(moving, n):
    assert_layer(Attention(), F.scaled_dot_product_attention, queries_keys_values(n), moving)


@pytest.mark.parametrize("keys", [4, 5])
def test_attention_with_a_scale_that_sees_nothing_behind(keys):
    def function(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7)

    assert_layer(Attention(scale=0.7, causal=True), function, queries_keys_values(keys=keys))


@pytest.mark.parametrize("shape", [(4, 5), (2, 1, 1, 5), (1, 2, 4, 5), (2, 2, 4, 5)], ids=str)
def test_attention_with_a_mask(shape):
    q, k, v = queries_keys_values()
    layer, function = Attention(has_mask=True), F.scaled_dot_product_attention
    mask = draw(*shape, name="mask")
    assert_layer(layer, function, (q, k, v, mask))
    assert_layer(layer, function, (q, k, v, mask), (False, False, False, True))
    hidden = mask.masked_fill(mask > 1, -torch.inf)
    assert_layer(layer, function, (q, k, v, hidden), (True, True, True, False))
    assert_layer(layer, function, (q, k, v, mask < 1))


def test_a_query_that_sees_nothing_has_no_curvature():
    q, k, v = queries_keys_values()
    seen = torch.ones(4, 5, dtype=torch.bool)
    seen[2] = False
    assert_layer(Attention(has_mask=True), F.scaled_dot_product_attention, (q, k, v, seen))


def test_attention_whose_keys_all_heads_share():
    q, k, v = queries_keys_values()
    assert_layer(Attention(), F.scaled_dot_product_attention, (q, k[:, :1], v[:, :1]))
