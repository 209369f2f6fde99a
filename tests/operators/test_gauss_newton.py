"""The Gauss-Newton matrix against one from dense Jacobians, for every way of making products."""

import pytest
import torch
from oracles import (
    dense_gauss_newton,
    dense_hessian,
    first_output,
    gauss_newton_products,
    random_vector,
)
from product_nets import TANGENT, images_and_labels, make_net
from product_nets import operator as product_operator
from torch import Tensor, nn

from spectra import HessianOperator
from spectra.findings.sharpness import gauss_newton_form

DOUBLE = torch.float64
# Relative: sums of some thousand terms in float64, each side in another order.
ROUNDING = 1e-12
# One net or two of each way of making products; the last has an operation without forward mode.
WAYS_OF_NETS = {
    "flatten-first": "tangent",
    "option-b": "tangent",
    "tied-weights": "tangent",
    "attention": "tangent",
    "control-flow-by-value": "double-backward",
    "overwritten-value": "double-backward",
    "no-forward-mode": "tangent",
}


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("name", WAYS_OF_NETS)
def test_products_are_those_of_the_dense_jacobians(name):
    model, weights = make_net(name), torch.linspace(0.5, 2, 7)
    op = product_operator(model, weights=weights)
    assert op.choice.name == WAYS_OF_NETS[name]
    assert_products(op, model, weights)


@pytest.mark.parametrize("name", sorted(TANGENT))
def test_products_over_known_layers_are_those_of_the_dense_jacobians(name):
    model, weights = make_net(name), torch.linspace(0.5, 2, 7)
    assert_products(product_operator(model, products="tangent", weights=weights), model, weights)


@pytest.mark.parametrize("way", ["tangent", "double-backward"])
@pytest.mark.parametrize("kept", ["weight", "bias"])
def test_frozen_parameters_leave_the_products_of_the_others(way, kept):
    model, weights = make_net("conv-bn-relu"), torch.ones(7)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith(kept))
    assert_products(product_operator(model, products=way), model, weights)


def assert_products(op: HessianOperator, model: nn.Module, weights: Tensor) -> None:
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    expected = gauss_newton_products(model, *images_and_labels(), vectors, weights=weights)
    assert relative_error(op.gauss_newton().matmat(vectors), expected) <= ROUNDING


def test_the_rest_of_the_hessian_is_the_dense_one_without_it(net):
    op = HessianOperator(net.model, net.images, net.labels, dtype=DOUBLE, micro_chunk=5)
    matrix = dense_gauss_newton(net.model, net.images, net.labels)
    rest = (op - op.gauss_newton()).dense()
    assert float((rest - (net.hessian - matrix)).abs().max()) <= ROUNDING * net.scale
    assert float(rest.abs().max()) > 1e-3 * net.scale


def test_the_hessian_of_softmax_regression_has_no_rest(trained_nets):
    net = trained_nets["softmax"]
    op = HessianOperator(net.model, net.images, net.labels, dtype=DOUBLE, micro_chunk=5)
    assert float((op - op.gauss_newton()).dense().abs().max()) <= ROUNDING * net.scale


@pytest.mark.parametrize("kind", ["smooth_mlp", "conv_resnet"])
def test_it_is_positive_semidefinite_for_cross_entropy(trained_nets, kind):
    net = trained_nets[kind]
    op = HessianOperator(net.model, net.images, net.labels, dtype=DOUBLE).gauss_newton()
    values = torch.linalg.eigvalsh(op.dense())
    assert float(values[0]) >= -ROUNDING * float(values[-1])
    assert float(net.eigenvalues[0]) < -1e-3 * net.scale


def test_its_form_along_a_vector_is_that_by_forward_mode(trained_nets):
    net = trained_nets["conv_resnet"]
    op = HessianOperator(net.model, net.images, net.labels, dtype=DOUBLE, micro_chunk=5)
    v = random_vector(op.size, "v")
    assert float(v @ (op.gauss_newton() @ v)) == pytest.approx(gauss_newton_form(op, v), rel=1e-10)


def test_a_loss_that_does_not_bend_has_none():
    op = product_operator("flatten-first", loss=first_output)
    product = op.gauss_newton().matvec(random_vector(op.size, "v"))
    assert torch.equal(product, torch.zeros(op.size, dtype=DOUBLE))


def test_products_in_float32_are_those_in_float64_to_its_rounding():
    op = product_operator("option-b", dtype=torch.float32).gauss_newton()
    v = random_vector(op.size, "v", dtype=torch.float32)
    product = op.matvec(v)
    assert product.dtype == torch.float32
    # Float32 sums of some thousand terms; masks of single ReLUs may flip.
    assert relative_error(product.double(), op.in_float64().matvec(v.double())) <= 5e-3


@pytest.mark.parametrize("name", ["option-b", "no-forward-mode"])
def test_kept_work_changes_no_byte(name):
    ops = [product_operator(name, memory_budget=b).gauss_newton() for b in (0, 2**40)]
    for i in range(2):  # the second product uses what the first one kept
        v = random_vector(ops[0].size, i)
        assert torch.equal(*(op.matvec(v) for op in ops))
    assert [op._kept.nbytes > 0 for op in ops] == [False, True]


def test_bytes_do_not_depend_on_the_number_of_threads():
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            op = product_operator("option-a", dtype=torch.float32).gauss_newton()
            found.append(op.matvec(random_vector(op.size, "v", dtype=torch.float32)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_parts_of_a_partition_sum_to_the_whole():
    op = product_operator("activations", weights=torch.linspace(0.5, 2, 7)).gauss_newton()
    v = random_vector(op.size, "v")
    parts = [op.over_images(torch.tensor(i)) for i in ([4, 0, 2], [1], [6, 3, 5])]
    assert relative_error(sum(part.matvec(v) for part in parts), op.matvec(v)) <= ROUNDING


def test_the_hessian_keeps_its_products_and_shares_its_count():
    model = make_net("flatten-first")
    op = product_operator(model)
    made = op.gauss_newton()
    v = random_vector(op.size, "v")
    made.matvec(v)
    assert op.count.products == 7
    expected = dense_hessian(model, *images_and_labels()) @ v
    assert relative_error(op.matvec(v), expected) <= ROUNDING
    assert (op.choice.name, made.choice.name, made.label) == ("tangent", "gauss-newton", op.label)


class HardGate(nn.Module):
    """Ends in an operation whose own kernel has no second derivative in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(nn.functional.hardsigmoid(self.first(x)))


def test_what_follows_the_layers_is_called_as_the_hessian_calls_it():
    torch.manual_seed(0)
    model, images, labels = HardGate(), torch.randn(7, 6), torch.arange(7) % 3
    op = HessianOperator(model, images, labels, dtype=DOUBLE).gauss_newton()
    wanted = dense_gauss_newton(model, images.double(), labels)
    # Torch's own kernel has 1/6 in float32, whatever it computes in.
    assert relative_error(op.dense(), wanted) <= 1e-8
