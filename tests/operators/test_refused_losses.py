"""What a Hessian is not taken of, and the line that says why."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from oracles import (
    ULPS,
    Then,
    distance,
    hessian_of,
)
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spectra import (
    HessianOperator,
    InputError,
    NonFiniteError,
    OperatorError,
    make_generator,
)

DOUBLE = torch.float64


def test_integer_images_are_refused(net):
    with pytest.raises(InputError, match=r"floats, got torch\.uint8"):
        HessianOperator(net.model, net.images.to(torch.uint8), net.labels)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.double(),
        lambda y: y[:-1],
        lambda y: y[:, None],
        lambda y: F.one_hot(y),
    ],
    ids=["float64", "short", "column", "one-hot"],
)
def test_labels_of_another_dtype_or_shape_are_refused(net, change):
    with pytest.raises(InputError, match=r"labels must be .*integers"):
        HessianOperator(net.model, net.images, change(net.labels))


@pytest.mark.parametrize("change", [Tensor.int, Tensor.numpy, Tensor.tolist])
def test_labels_are_integers_of_any_kind(net, change):
    op = HessianOperator(net.model, net.images, change(net.labels))
    assert torch.equal(op.labels, net.labels)


def test_no_images_are_refused(net):
    with pytest.raises(InputError, match="no images"):
        HessianOperator(net.model, net.images[:0], net.labels[:0])


@pytest.mark.parametrize("n", [1, 22])
def test_a_loss_that_reduces_is_refused(net, n):
    with pytest.raises(InputError, match="reduction='none'"):
        HessianOperator(net.model, net.images[:n], net.labels[:n], loss=F.cross_entropy)


def test_a_model_without_trainable_parameters_is_refused(net):
    model = copy.deepcopy(net.model).requires_grad_(False)
    with pytest.raises(InputError, match="requires_grad"):
        HessianOperator(model, net.images, net.labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_dtypes_are_refused(net, dtype):
    with pytest.raises(InputError, match="dtype"):
        hessian_of(net, dtype=dtype)


def test_micro_chunk_below_one_is_refused(net):
    with pytest.raises(InputError, match="micro_chunk"):
        hessian_of(net, micro_chunk=0)


@pytest.mark.parametrize(
    "weights",
    [-torch.ones(22), torch.zeros(22), torch.ones(21), torch.full((22,), float("nan"))],
    ids=["negative", "zero", "short", "nan"],
)
def test_unusable_sample_weights_are_refused(net, weights):
    with pytest.raises(InputError, match="weights"):
        hessian_of(net, weights=weights)


def test_non_finite_images_are_refused(net):
    images = net.images.clone()
    images[-1, 0, 0, 0] = float("inf")
    with pytest.raises(NonFiniteError, match="images"):
        HessianOperator(net.model, images, net.labels)


def test_nan_parameters_are_named_as_a_non_finite_loss(net):
    model = copy.deepcopy(net.model)
    with torch.no_grad():
        model[1].weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="22 of the first 22 images"):
        HessianOperator(model, net.images, net.labels)


def test_an_infinite_second_derivative_is_named(net):
    def cube_root_at_zero(outputs: Tensor) -> Tensor:
        return outputs + (outputs - outputs.detach()).abs().pow(4 / 3)

    with pytest.raises(NonFiniteError, match="second derivative"):
        HessianOperator(Then(net.model, cube_root_at_zero), net.images, net.labels)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.dropout(x, 0.5, training=True),
        lambda x: x * (1 + 1e-3 * torch.randn_like(x)),
    ],
    ids=["dropout", "noise"],
)
def test_randomness_in_the_forward_pass_is_named(net, function):
    with torch.random.fork_rng(devices=[]), pytest.raises(OperatorError, match="random numbers"):
        HessianOperator(Then(net.model, function), net.images, net.labels)


def test_dropout_that_obeys_eval_mode_is_no_randomness(net):
    model = nn.Sequential(net.model, nn.Dropout(0.5)).train()
    assert distance(HessianOperator(model, net.images, net.labels, dtype=DOUBLE), net.hessian) <= (
        ULPS * net.scale
    )


def test_batch_norm_without_running_averages_is_refused(net):
    norm = nn.BatchNorm1d(3, affine=False, track_running_stats=False)
    with pytest.raises(OperatorError, match="track_running_stats=False"):
        HessianOperator(Then(net.model, norm), net.images, net.labels)


class Square(torch.autograd.Function):
    """x², whose backward is right in first order and loses part of the second."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2


class ForgetsPoint(Square):
    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0].detach() * gradient


class ForgetsGradient(Square):
    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient.detach()


class HasNoDoubleBackward(Square):
    """Torch skips such a path without a word where another one reaches the parameters."""

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class WrongByAFactor(Square):
    """Wrong in first order already; the second derivative is symmetric all the same."""

    @staticmethod
    def backward(ctx, gradient):
        return ctx.saved_tensors[0] * gradient


class Between(nn.Module):
    """Applies a function to the first layer's outputs."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.function = net, function

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2:](self.function(self.net[:2](x)))


@pytest.mark.parametrize("place", [Then, Between], ids=["last", "inside"])
@pytest.mark.parametrize(
    "function", [ForgetsPoint, ForgetsGradient, HasNoDoubleBackward, WrongByAFactor]
)
def test_a_wrong_custom_backward_is_refused(net, function, place):
    with pytest.raises(OperatorError):
        HessianOperator(place(net.model, function.apply), net.images, net.labels)


@pytest.mark.parametrize("label", [-100, 3])
def test_a_label_without_output_is_refused(net, label):
    labels = net.labels.clone()
    labels[0] = label
    with pytest.raises(InputError, match="labels"):
        HessianOperator(net.model, net.images, labels)


def test_images_fitted_to_rounding_do_not_fail_the_check_of_derivatives():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        model[2].weight *= 60
        images = torch.randn(2000, 4, generator=make_generator(0, "fit")).double()
        outputs = model(images)
    labels = outputs.argmax(1)
    losses = nn.functional.cross_entropy(outputs, labels, reduction="none")
    # Losses of 3e-14 carry two digits of slope: central differences show rounding alone.
    fitted = (losses - 3e-14).abs().argsort()[:20]
    keep = torch.cat([fitted, losses.argsort()[-4:]])
    HessianOperator(model, images[keep], labels[keep], dtype=DOUBLE)


def test_labels_past_the_outputs_are_named_where_a_loss_of_ones_own_fails_of_them(net):
    def picked(outputs, labels):
        return -outputs.log_softmax(1)[torch.arange(len(labels)), labels]

    with pytest.raises(InputError, match="labels up to 5, the model has 3 outputs: index 5 is out"):
        HessianOperator(net.model, net.images, net.labels * 0 + 5, loss=picked)


@pytest.mark.filterwarnings("ignore")  # quantized tensors are deprecated
def test_networks_without_values_or_of_integers_are_refused_by_the_name_of_a_tensor(net):
    class Quantized(nn.Linear):
        def __init__(self):
            super().__init__(32, 3)
            self.register_buffer(
                "kept", torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
            )

    for model, said in (
        (nn.Linear(32, 3, device="meta"), "weight has no values, for it is on the meta device"),
        (Quantized(), "kept is quantized: integers have no Hessian"),
    ):
        with pytest.raises(InputError, match=said):
            HessianOperator(model, net.images.flatten(1), net.labels)


def test_layers_in_a_list_are_refused_by_the_place_where_they_are_kept(net):
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.last = [nn.Linear(32, 4), nn.Linear(4, 4)], nn.Linear(4, 3)

        def forward(self, x):
            for layer in self.layers:
                x = layer(x).tanh()
            return self.last(x)

    with pytest.raises(OperatorError, match=r"no parameters of the network: .*layers\[1\]\.weight"):
        HessianOperator(Hidden(), net.images.flatten(1), net.labels)
