"""Operators do not change: what is made of one is another, and one that lost its point refuses."""

import copy

import pytest
import torch
from oracles import ULPS, dense_hessian, random_vector

from spectra import (
    FreshOperator,
    HessianOperator,
    InputError,
    OperatorError,
    PyHessianOperator,
)

DOUBLE = torch.float64


@pytest.fixture
def op(net) -> HessianOperator:
    return HessianOperator(net.model, net.images, net.labels, dtype=DOUBLE, micro_chunk=5)


PRODUCTS = {
    "matvec": lambda op: op.matvec(torch.ones(op.size, dtype=DOUBLE)),
    "matmat": lambda op: op.matmat(torch.ones(2, op.size, dtype=DOUBLE)),
    "scaled products": lambda op: op.scaled_products(torch.ones(1, op.size, dtype=DOUBLE)),
    "a chunk's product": lambda op: op.chunk_product(slice(0, 5), torch.ones(op.size).double()),
    "curvatures": lambda op: op.curvatures(torch.ones(1, op.size, dtype=DOUBLE)),
    "the product of a part": lambda op: op.over_images(torch.tensor([1])).matvec(
        torch.ones(op.size, dtype=DOUBLE)
    ),
    "a copy in float64": lambda op: op.in_float64(),
    "the Gauss-Newton matrix": lambda op: op.gauss_newton(),
    "a multiple": lambda op: (2 * op) @ torch.ones(op.size),
    "a block": lambda op: op.restrict("1.bias") @ torch.ones(5),
    "PyHessian's product": lambda op: PyHessianOperator(op).matvec(torch.ones(op.size).double()),
}


@pytest.mark.parametrize("what", PRODUCTS)
def test_what_needs_the_point_of_the_operator_is_refused_where_its_parameters_are_moved(op, what):
    with op.moved(torch.ones(op.size)), pytest.raises(OperatorError, match="are moved"):
        PRODUCTS[what](op)
    PRODUCTS[what](op)


def test_losses_and_gradients_are_those_of_the_moved_parameters(op, net):
    step = 0.1 * random_vector(op.size, "step")
    model = copy.deepcopy(net.model).double()
    with torch.no_grad():
        for parameter, piece in zip(model.parameters(), op.unflatten(step), strict=True):
            parameter += piece
    there = HessianOperator(model, net.images, net.labels, dtype=DOUBLE, micro_chunk=5)
    with op.moved(step):
        assert op.loss() == there.loss()
        assert torch.equal(op.gradient(), there.gradient())


def test_an_operator_whose_network_was_moved_elsewhere_refuses_products(op):
    op.model.float()
    with pytest.raises(
        OperatorError, match=r"in torch.float64, it was moved to cpu in torch.float"
    ):
        op.matvec(torch.ones(op.size))


def test_other_images_leave_the_first_operator_as_it_was(op, net):
    v = random_vector(op.size, "v")
    before = op.matvec(v)
    other = op.with_images(net.images.flip(0))
    matrix = dense_hessian(net.model, net.images.flip(0), net.labels)
    assert float((other.dense() - matrix).abs().max()) <= ULPS * net.scale
    assert torch.equal(op.matvec(v), before)


def test_other_weights_are_those_of_the_mean(op, net):
    weights = torch.linspace(0.1, 2, 22, dtype=DOUBLE)
    matrix = dense_hessian(net.model, net.images, net.labels, weights=weights)
    assert float((op.with_weights(weights).dense() - matrix).abs().max()) <= ULPS * net.scale
    assert float((op.dense() - net.hessian).abs().max()) <= ULPS * net.scale


def test_a_part_with_its_own_weights_is_the_mean_over_the_part(op, net):
    index = torch.tensor([3, 0, 7])
    part = op.over_images(index)
    mean = part.with_weights(part.weights)
    matrix = dense_hessian(net.model, net.images[index], net.labels[index])
    # Three images have a larger Hessian than the mean of 22.
    assert float((mean.dense() - matrix).abs().max()) <= ULPS * float(matrix.abs().max()) * 10


@pytest.mark.parametrize("weights", [torch.ones(3), torch.zeros(22), -torch.ones(22)])
def test_weights_of_no_mean_are_refused(op, weights):
    with pytest.raises(InputError, match="weights must be 22 finite values"):
        op.with_weights(weights)


def test_of_fresh_draws_the_work_of_the_last_alone_is_kept(op, net):
    op.matvec(torch.ones(op.size))
    nbytes = op._kept.nbytes
    fresh = FreshOperator(op, lambda: net.images)
    for _ in range(3):
        fresh.matvec(torch.ones(op.size))
        assert fresh.last._kept.held == fresh.last._kept.nbytes == nbytes > 0


def test_the_peers_operator_has_the_label_and_the_blocks_of_ours(op):
    peer = PyHessianOperator(op.with_label("8"))
    assert (peer.label, peer.restrict("1.bias").size) == ("8", 5)


COPIES = {
    "label": lambda op: op.with_label("8"),
    "budget": lambda op: op.with_memory_budget(2**30),
    "weights": lambda op: op.with_weights(op.weights),
}


@pytest.mark.parametrize("kind", COPIES)
def test_smaller_chunks_of_a_copy_leave_the_chunks_of_the_first_operator(op, net, kind):
    other = COPIES[kind](op)
    other.make_room()
    v = random_vector(op.size, "v")
    assert (op.micro_chunk, other.micro_chunk) == (5, 2)
    for one in (other, op, other):  # each keeps its own work
        error = float((one.matvec(v) - net.hessian @ v).norm())
        assert error <= ULPS * net.scale * float(v.norm())


def test_another_budget_and_another_label_leave_the_operator_as_it_was(op):
    made = op.with_memory_budget(0).with_label("8")
    v = random_vector(op.size, "v")
    assert torch.equal(made.matvec(v), op.matvec(v))
    assert (made.memory_budget, made.label, made._kept.nbytes) == (0, "8", 0)
    assert (op.memory_budget > 0, op.label, op._kept.nbytes > 0) == (True, "", True)
