"""Normalisations have the products of double backward."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from layer_cases import assert_layer, draw

from spectra.products.norms.group_norm import GroupNorm
from spectra.products.norms.normalisation import Normalisation
from spectra.products.norms.rows import LastAxes, Lengths
from spectra.products.norms.running_norm import RunningNorm

WHICH = [m for m in itertools.product([True, False], repeat=3) if any(m)]


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("moving", WHICH, ids=str)
@pytest.mark.parametrize("shape", [(5,), (3, 5)])
def test_layer_norm(shape, moving, n):
    layer = Normalisation(LastAxes(shape, 1e-2), shape, has_weight=True, has_bias=True)
    values = (draw(n, 2, 3, 5), draw(*shape, name="γ"), draw(*shape, name="β"))
    assert_layer(layer, lambda x, g, b: F.layer_norm(x, shape, g, b, 1e-2), values, moving)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize(
    ("places", "groups"),
    [((), 1), ((), 2), ((3,), 3), ((2, 3), 1), ((2, 3), 2), ((2, 3), 6), ((2, 2, 2), 3)],
    ids=str,
)
@pytest.mark.parametrize("moving", [(True, True, True), (True, False, True), (False, True, False)])
def test_group_norm(moving, groups, places, n):
    x = draw(n, 6, *places)
    layer = GroupNorm(groups, 1e-2, has_weight=True, has_bias=True)
    values = (x, draw(6, name="γ"), draw(6, name="β"))
    assert_layer(layer, lambda x, g, b: F.group_norm(x, groups, g, b, 1e-2), values, moving)


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_group_norm_of_channels_last(groups):
    x = draw(3, 6, 4, 5).contiguous(memory_format=torch.channels_last)
    layer = GroupNorm(groups, 1e-2, has_weight=True, has_bias=True)
    values = (x, draw(6, name="γ"), draw(6, name="β"))
    assert_layer(layer, lambda x, g, b: F.group_norm(x, groups, g, b, 1e-2), values)
    assert layer.value(*values).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("moving", [(True, True), (True, False), (False, True)])
def test_rms_norm(moving):
    layer = Normalisation(Lengths((-1,), 1e-2, mean=True), (5,), has_weight=True)
    values = (draw(3, 4, 5), draw(5, name="γ"))
    assert_layer(layer, lambda x, g: F.rms_norm(x, (5,), g, 1e-2), values, moving)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_unit_lengths_with_one_too_short(axis):
    x = draw(3, 4, 5)
    x[0] *= 1e-3
    layer = Normalisation(Lengths((axis,), 1e-1, mean=False))
    assert_layer(layer, lambda x: F.normalize(x, dim=axis, eps=1e-1), (x,))


@pytest.mark.parametrize(("weight", "bias"), [(True, False), (False, False)])
def test_layer_norm_without_bias_and_weight(weight, bias):
    layer = Normalisation(LastAxes((5,), 1e-2), (5,), has_weight=weight, has_bias=bias)
    values = (draw(3, 4, 5), draw(5))[: 1 + weight]
    assert_layer(layer, lambda x, g=None: F.layer_norm(x, (5,), g, None, 1e-2), values)


@pytest.mark.parametrize(("weight", "bias"), [(True, False), (False, False)])
def test_group_norm_without_bias_and_weight(weight, bias):
    layer = GroupNorm(2, 1e-2, has_weight=weight, has_bias=bias)
    values = (draw(3, 4, 5), draw(4))[: 1 + weight]
    assert_layer(layer, lambda x, g=None: F.group_norm(x, 2, g, None, 1e-2), values)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("places", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("moving", WHICH, ids=str)
def test_batch_norm_by_running_averages(moving, places, n):
    layer = RunningNorm(1e-2, has_weight=True, has_bias=True)
    mean, variance = draw(5, name="mean"), draw(5, name="variance").abs()
    values = (draw(n, 5, *places), mean, variance, draw(5, name="γ"), draw(5, name="β"))
    assert_layer(
        layer,
        lambda x, m, v, g, b: F.batch_norm(x, m, v, g, b, eps=1e-2),
        values,
        (moving[0], False, False, *moving[1:]),
    )


def test_batch_norm_without_weight_and_bias():
    values = (draw(3, 5, 2), draw(5, name="mean"), draw(5, name="variance").abs())
    layer = RunningNorm(1e-2, has_weight=False, has_bias=False)
    assert_layer(
        layer, lambda x, m, v: F.batch_norm(x, m, v, eps=1e-2), values, (True, False, False)
    )
