"""What is right in float64 and wrong in float32, or in one way of making products, is found."""

import pytest
import torch
import torch.nn.functional as F
from oracles import double_backward, random_vector
from planted_errors import deep_net, images_and_labels
from torch import Tensor, nn

from spectra import HessianOperator, OperatorError
from spectra.errors import UnderflowError
from spectra.products.tangent.products import TangentChunk

DOUBLE = torch.float64


class _Bent(torch.autograd.Function):
    """x + x²; its second derivative is, in float32 alone, half as large again."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x + x**2

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        if x.dtype == torch.float32:
            x = 1.5 * x - 0.5 * x.detach()
        return (1 + 2 * x) * gradient


class Bent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Bent.apply(x)


def test_an_operation_that_is_wrong_in_float32_alone_is_refused_there():
    images, labels = images_and_labels(12, 8)
    model, way = nn.Sequential(nn.Linear(8, 8), Bent(), nn.Linear(8, 10)), "double-backward"
    with pytest.raises(OperatorError, match=r"in float32 the product is .* % off .* parameter 0\."):
        HessianOperator(model, images, labels, products=way)
    HessianOperator(model, images.double(), labels, dtype=DOUBLE, products=way)


def test_a_fast_way_that_is_wrong_in_float32_alone_gives_way_to_double_backward(monkeypatch):
    whole = TangentChunk.product

    def product(self: TangentChunk, direction: object) -> Tensor:
        found = whole(self, direction)
        return found if found.dtype == DOUBLE else 1.1 * found

    monkeypatch.setattr(TangentChunk, "product", product)
    images, labels = images_and_labels(12, 64)
    model = deep_net(nn.Tanh(), 0)
    op = HessianOperator(model, images, labels)
    assert op.choice.name == "double-backward"
    assert "tangent: in float32 the product is 10 % off" in op.choice.reason
    v = random_vector(op.size, "v")
    expected = double_backward(model, images, labels)(v)
    # Rounding of float32.
    assert float((op.matvec(v.float()) - expected).norm()) <= 1e-5 * float(expected.norm())
    with pytest.raises(OperatorError, match="in float32 the product is 10 % off"):
        HessianOperator(model, images, labels, products="tangent")


def test_a_product_that_is_not_the_same_twice_is_named(monkeypatch):
    whole, calls = TangentChunk.product, []

    def product(self: TangentChunk, direction: object) -> Tensor:
        calls.append(0)
        return (1 + 1e-5 * len(calls)) * whole(self, direction)

    images, labels = images_and_labels(12, 64)
    model = deep_net(nn.Tanh(), 0)
    monkeypatch.setattr(TangentChunk, "product", product)
    with pytest.raises(OperatorError, match="the same product gives two answers"):
        HessianOperator(model, images, labels, products="tangent")


class Mixing(nn.Module):
    """Adds a little of the other images' mean: 1e-5, which float32 losses hardly show."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1e-5 * x.mean(0)


def test_images_that_depend_on_each_other_a_little_are_refused():
    model = nn.Sequential(nn.Linear(8, 8), Mixing(), nn.Tanh(), nn.Linear(8, 10))
    with pytest.raises(OperatorError, match="depends on the images beside it"):
        HessianOperator(model, *images_and_labels(8, 8))


def test_a_loss_that_loses_its_digits_on_fitted_images_is_refused_in_float32():
    """1 - p of torch's softmax is rounded to 0 or 1e-7 there; the loss of this package is not."""
    images, labels = torch.eye(10), torch.arange(10)
    model = nn.Linear(10, 10)
    with torch.no_grad():
        model.weight.copy_(20 * torch.eye(10))

    def by_softmax(outputs: Tensor, labels: Tensor) -> Tensor:
        return F.nll_loss(outputs.log_softmax(1), labels, reduction="none")

    with pytest.raises(OperatorError, match="an operation loses its digits there"):
        HessianOperator(model, images, labels, loss=by_softmax)
    HessianOperator(model, images, labels)
    HessianOperator(model, images.double(), labels, loss=by_softmax, dtype=DOUBLE)


def test_a_loss_that_underflows_in_float32_is_named_with_its_class():
    """exp(-200) is 1e-87: float32 ends at 1e-45."""
    images, labels = torch.eye(10), torch.arange(10)
    model = nn.Linear(10, 10)
    with torch.no_grad():
        model.weight.copy_(200 * torch.eye(10))
        model.bias.zero_()
    with pytest.raises(UnderflowError, match=r"class 8 is .*e-8., .* are 0 in float32; .*float64"):
        HessianOperator(model, images, labels, label="8")
    HessianOperator(model, images.double(), labels, label="8", dtype=DOUBLE)
