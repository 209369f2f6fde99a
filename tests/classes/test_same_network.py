"""Operators that share a network: the same bits as one that was built anew, over any samples."""

import pytest
import torch
from oracles import build_net, images_and_labels, random_vector

from spectra import HessianOperator, InputError, NonFiniteError
from spectra.operators.many_losses.same_network import over_samples


@pytest.fixture
def op(net) -> HessianOperator:
    return HessianOperator(net.model, net.images, net.labels, micro_chunk=5, weight_decay=0.1)


def test_products_losses_and_gradients_are_those_of_an_operator_that_was_built_anew(op, net):
    images, labels = images_and_labels(8, seed=3)
    weights = torch.linspace(0.5, 2.0, 8)
    options = {"weights": weights, "label": "other"}
    anew = HessianOperator(
        net.model, images, labels, check=False, micro_chunk=5, weight_decay=0.1, **options
    )
    shared = over_samples(op, images, labels, **options)
    v = random_vector(op.size, "v", dtype=torch.float32)
    assert shared.label == "other"
    assert torch.equal(shared.matvec(v), anew.matvec(v))
    assert torch.equal(shared.gradient(), anew.gradient())
    assert shared.loss() == anew.loss()


def test_counts_and_kept_work_are_its_own(op):
    images, labels = images_and_labels(4, seed=3)
    before = op.count.products
    shared = over_samples(op, images, labels)
    shared.matvec(torch.ones(op.size))
    assert (op.count.products, shared.count.products) == (before, 4)
    assert not op.keeps_work


def test_samples_are_checked_as_those_of_a_new_operator(op):
    images, labels = images_and_labels(4, seed=3)
    with pytest.raises(InputError, match="shape"):
        over_samples(op, images, labels[:3])
    with pytest.raises(NonFiniteError, match="NaN"):
        over_samples(op, images * float("nan"), labels)


def test_the_first_operators_samples_stay(op):
    kind = build_net("conv_resnet")
    first = HessianOperator(kind, *images_and_labels(6))
    v = torch.ones(first.size)
    before = first.matvec(v)
    over_samples(first, *images_and_labels(3, seed=5)).matvec(v)
    assert torch.equal(first.matvec(v), before)
