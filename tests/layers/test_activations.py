"""Elementwise functions of one value have the products of double backward."""

import pytest
import torch
from layer_cases import assert_layer, draw
from torch import nn

from spectra.products.layers.pointwise import Activation, PRelu

ACTIVATIONS = {
    "gelu": nn.GELU(),
    "gelu-tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(),
    "hardswish": nn.Hardswish(),
    "hardtanh": nn.Hardtanh(-0.5, 1.5),
    "relu6": nn.ReLU6(),
    "leaky-relu": nn.LeakyReLU(0.2),
    "elu": nn.ELU(0.7),
    "selu": nn.SELU(),
    "celu": nn.CELU(0.5),
    "softplus": nn.Softplus(2.0),
    "mish": nn.Mish(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "log-sigmoid": nn.LogSigmoid(),
    "softsign": nn.Softsign(),
    "tanhshrink": nn.Tanhshrink(),
    "softshrink": nn.Softshrink(),
    "quick-gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "square": lambda x: x**2,
    "root": lambda x: (x.abs() + 1).sqrt(),
    "exp": torch.exp,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    function = ACTIVATIONS[name]
    assert_layer(Activation(function), function, (4 * draw(3, 4, 5),))


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 5)], ids=str)
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("moving", [(True, True), (True, False), (False, True)], ids=str)
def test_prelu(moving, size, shape):
    assert_layer(PRelu(), torch.prelu, (draw(*shape), draw(size, name="a")), moving)
