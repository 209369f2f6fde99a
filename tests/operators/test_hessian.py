"""The Hessian against dense ones."""

import copy

import pytest
import torch
from oracles import (
    ULPS,
    QuadraticNet,
    Then,
    build_net,
    cross_entropy,
    dense_hessian,
    distance,
    first_output,
    hessian_of,
    images_and_labels,
    random_vector,
    refill,
    symmetric_with_spectrum,
)
from torch import Tensor, nn

from spectra import (
    CrossEntropy,
    HessianOperator,
    extreme_eigenpairs,
    make_generator,
)

DOUBLE = torch.float64


@pytest.mark.parametrize("micro_chunk", [1, 3, 5, 11, 21, 22, 100])
def test_chunks_of_any_size_give_the_hessian_of_the_whole_batch(net, micro_chunk):
    assert distance(hessian_of(net, micro_chunk=micro_chunk), net.hessian) <= ULPS * net.scale


def test_an_image_of_weight_zero_does_not_count(net):
    weights = (net.labels != 1).double()
    keep = net.labels != 1
    matrix = dense_hessian(net.model, net.images[keep], net.labels[keep])
    assert distance(hessian_of(net, weights=weights, micro_chunk=5), matrix) <= ULPS * net.scale


def test_the_scale_of_the_loss_enters_the_hessian(net):
    matrix = dense_hessian(
        net.model, net.images, net.labels, loss=lambda o, y: cross_entropy(30 * o, y)
    )
    error = distance(hessian_of(net, loss=CrossEntropy(30.0)), matrix)
    assert error <= ULPS * float(matrix.abs().max()) * 10


def test_frozen_parameters_leave_the_rows_of_the_others(net):
    model = copy.deepcopy(net.model)
    model[1].weight.requires_grad_(False)
    op = HessianOperator(model, net.images, net.labels, dtype=DOUBLE)
    assert distance(op, net.hessian[160:, 160:]) <= ULPS * net.scale  # 32·5 weights come first


def test_gradient_is_that_of_the_weighted_mean(net):
    weights = torch.linspace(0.1, 2, 22, dtype=DOUBLE)
    gradient = hessian_of(net, weights=weights, micro_chunk=5).gradient()
    model = copy.deepcopy(net.model).double()
    losses = cross_entropy(model(net.images.double()), net.labels)
    ((weights * losses).sum() / weights.sum()).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    # Entries are below 1; some ulp remain.
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-15 * 22)


def test_loss_and_accuracy_are_those_of_the_whole_batch(net):
    op = hessian_of(net, micro_chunk=5)
    with torch.no_grad():
        outputs = copy.deepcopy(net.model).double()(net.images.double())
    assert op.loss() == pytest.approx(float(cross_entropy(outputs, net.labels).mean()), rel=1e-14)
    assert op.accuracy() == float((outputs.argmax(1) == net.labels).double().mean())


def test_one_image_is_enough(net):
    op = HessianOperator(net.model, net.images[:1], net.labels[:1], dtype=DOUBLE)
    matrix = dense_hessian(net.model, net.images[:1], net.labels[:1])
    assert distance(op, matrix) <= ULPS * float(matrix.abs().max()) * 10


@pytest.mark.parametrize("seed", range(4))
def test_softmax_regression_has_no_negative_curvature(seed):
    images, labels = images_and_labels(18, seed=seed)
    op = HessianOperator(build_net("softmax"), images, labels, dtype=DOUBLE, micro_chunk=7)
    found = extreme_eigenpairs(op, generator=make_generator(seed), max_steps=op.size, tol=1e-6)
    # Convex: only rounding can go below 0, and a Rayleigh quotient carries some ulp of λmax.
    assert found.smallest.value >= -1e-12 * found.largest.value


def test_a_loss_linear_in_the_parameters_has_a_zero_hessian():
    images, labels = images_and_labels(9)
    op = HessianOperator(build_net("softmax"), images, labels, loss=first_output, micro_chunk=4)
    assert torch.equal(op.matvec(random_vector(op.size, dtype=torch.float32)), torch.zeros(op.size))


def test_a_piecewise_linear_loss_has_zero_blocks_on_the_diagonal():
    images, labels = images_and_labels(9)
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Flatten(), nn.Linear(32, 2), nn.ReLU(), nn.Linear(2, 1))
    refill(model, "piecewise linear")
    matrix = HessianOperator(model, images, labels, loss=first_output, dtype=DOUBLE).dense()
    assert not matrix[:66, :66].any()  # the first layer: 32·2 weights and 2 biases
    assert not matrix[66:, 66:].any()
    assert matrix[:66, 66:].any()


class WithSpare(nn.Module):
    """A net with parameters that nothing uses."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.ones(2))
        self.unused_too = nn.Parameter(torch.ones(3))
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def test_unused_parameters_have_zero_rows(net):
    op = HessianOperator(WithSpare(net.model), net.images, net.labels, dtype=DOUBLE, micro_chunk=5)
    matrix = op.dense()
    assert not matrix[:5].any()
    assert not matrix[:, :5].any()
    assert float((matrix[5:, 5:] - net.hessian).abs().max()) <= ULPS * net.scale


def test_a_model_that_uses_no_parameter_has_a_zero_hessian():
    images, labels = images_and_labels(6)
    op = HessianOperator(Then(build_net("softmax"), Tensor.detach), images, labels)
    assert torch.equal(op.matvec(torch.ones(op.size)), torch.zeros(op.size))


def test_a_quadratic_has_its_matrix_as_hessian():
    matrix = symmetric_with_spectrum(torch.linspace(-2, 3, 6), seed=0)
    model = QuadraticNet(matrix, torch.ones(6, dtype=DOUBLE), torch.zeros(6, dtype=DOUBLE))
    images, labels = images_and_labels(5)
    op = HessianOperator(model, images, labels, loss=first_output, dtype=DOUBLE, micro_chunk=2)
    torch.testing.assert_close(op.dense(), matrix, rtol=0, atol=1e-15 * 10)
