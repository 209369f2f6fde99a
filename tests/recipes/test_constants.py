import pickle

import pytest
import torch
from loss_values import COUNTS, close, outputs_and_labels
from torch import Tensor

from checkpoints.recipes.constants import constant
from checkpoints.recipes.training_losses import (
    LDAM,
    VectorScaling,
)
from spectra import HessianOperator, make_generator


def doubled(value: float) -> Tensor:
    return torch.tensor([2 * value])


def test_a_constant_is_made_once_for_each_argument():
    assert constant(doubled)(1.5) is constant(doubled)(1.5)
    assert float(constant(doubled)(2.5)) == 5.0


def test_a_constant_made_where_autograd_is_off_serves_where_it_is_on():
    with torch.inference_mode():
        made = constant(doubled)(3.5)
    w = torch.ones(1, requires_grad=True)
    (w * made).sum().backward()
    assert float(w.grad) == 7.0


def test_a_constant_made_within_a_transform_does_not_outlive_it():
    made = []

    def scaled(x: Tensor) -> Tensor:
        made.append(constant(doubled)(4.5))
        return (x * made[-1]).sum()

    slope = torch.func.grad(scaled)(torch.ones(1))
    assert float(slope) == 9.0
    assert constant(doubled)(4.5) is not made[0]


@pytest.mark.parametrize(
    "loss", [LDAM(COUNTS), VectorScaling(COUNTS, 0.2, 1.2)], ids=["ldam", "vs"]
)
def test_a_loss_that_was_used_is_pickled_compared_and_hashed_as_before(loss):
    fresh = pickle.loads(pickle.dumps(loss))
    loss(*outputs_and_labels())
    again = pickle.loads(pickle.dumps(loss))
    assert (again, hash(again)) == (fresh, hash(fresh))


def test_a_loss_that_is_a_module_serves_both_precisions():
    generator = make_generator(0, "loss module")
    images, labels = torch.randn(12, 5, generator=generator), torch.arange(12) % 3
    weights = torch.tensor([0.5, 1.0, 3.0])
    theirs = torch.nn.CrossEntropyLoss(weight=weights.clone(), reduction="none")
    with torch.random.fork_rng(devices=[]):
        model = torch.nn.Linear(5, 3)
    op = HessianOperator(model, images, labels, loss=theirs)
    by_image = HessianOperator(model, images, labels, weights=weights[labels])
    v = torch.randn(op.size, generator=generator)
    expected = by_image.in_float64().matvec(v.double()) * by_image.total_weight / len(labels)
    close(op.in_float64().matvec(v.double()), expected)
    torch.testing.assert_close(op.matvec(v).double(), expected, rtol=1e-5, atol=1e-6)
    theirs.weight.fill_(0.0)  # the operator's is its own
    close(op.in_float64().matvec(v.double()), expected)
    assert theirs.weight.dtype == torch.float32
