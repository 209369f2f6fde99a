"""An error of 1 % in one layer of twenty is refused, in either precision, whatever the seed."""

import pytest
import torch
from planted_errors import (
    Detached,
    EnlargedGradient,
    Rounded,
    WrongBend,
    deep_net,
    images_and_labels,
)
from torch import Tensor, nn

from checkpoints.models.resnet import ResNet
from spectra import HessianOperator, OperatorError

DOUBLE = torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "layer",
    [Detached(0.1), Detached(0.01), WrongBend(), EnlargedGradient(), Rounded()],
    ids=["detached", "detached a tenth of that", "bend", "gradient", "straight-through"],
)
def test_a_small_error_in_one_of_twenty_layers_is_refused(layer, seed, dtype):
    images, labels = images_and_labels(12, 64)
    with pytest.raises(OperatorError, match=r"is not the derivative of the (loss|gradient)"):
        HessianOperator(deep_net(layer, seed), images.to(dtype), labels, dtype=dtype)


def test_the_same_net_without_an_error_is_accepted():
    images, labels = images_and_labels(12, 64)
    for seed in (0, 1):
        HessianOperator(deep_net(nn.Tanh(), seed), images, labels)


def test_a_detached_path_at_the_end_of_a_convolutional_net_is_refused():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = ResNet(blocks=(1, 1), planes=(8, 16), num_classes=10)
    images, labels = images_and_labels(8, 3, 16, 16)
    with pytest.raises(OperatorError, match="a part of the graph is detached"):
        HessianOperator(nn.Sequential(net, Detached(0.1)), images, labels)


def test_an_error_in_the_block_of_a_few_parameters_is_named_by_them():
    class OwnGradient(torch.autograd.Function):
        """x scale, whose gradient by scale forgets how it depends on x."""

        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x, scale)
            return x * scale

        @staticmethod
        def backward(ctx, gradient):
            x, scale = ctx.saved_tensors
            by_scale = (x.detach() * gradient).sum(0)
            return gradient * scale, by_scale

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(64))

        def forward(self, x: Tensor) -> Tensor:
            return OwnGradient.apply(x, self.scale)

    images, labels = images_and_labels(12, 64)
    with pytest.raises(OperatorError, match=r"% off in parameter "):
        HessianOperator(deep_net(Scale(), 0), images, labels)


class Scaled(nn.Module):
    """Multiplies by a parameter that is used, used as a constant, or not used."""

    def __init__(self, use: str) -> None:
        super().__init__()
        self.use, self.factor = use, nn.Parameter(torch.ones(64))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor.detach() if self.use == "detached" else x


def test_parameters_that_count_as_constants_throughout_are_refused_by_name():
    images, labels = images_and_labels(12, 64)
    with pytest.raises(OperatorError, match=r"no gradient reaches, such as 22\.factor"):
        HessianOperator(deep_net(Scaled("detached"), 0), images, labels)
    model = deep_net(Scaled("detached"), 0)
    model[22].factor.requires_grad_(False)
    HessianOperator(model, images, labels)


def test_parameters_that_are_not_used_are_accepted():
    images, labels = images_and_labels(12, 64)
    HessianOperator(deep_net(Scaled("not"), 0), images, labels)


class IntegerPart(nn.Module):
    """Multiplies by the integer part of a parameter, which is 1 at 1 and 0 just below."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(64))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.factor + self.factor.int())


def test_a_loss_that_jumps_at_this_point_is_refused():
    images, labels = images_and_labels(12, 64)
    with pytest.raises(OperatorError, match="the loss jumps exactly at this point"):
        HessianOperator(deep_net(IntegerPart(), 0), images, labels)
