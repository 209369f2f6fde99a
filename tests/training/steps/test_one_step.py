import dataclasses

import pytest
import torch
from one_training_step import LOOSE, climb, mean_loss, start_and_end
from tiny_trainings import COUNTS, batch_of, one_step, tiny_data, tiny_job

from checkpoints import Architecture
from checkpoints.formats.native import load_native
from checkpoints.recipes.schedules import class_weights
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job


@pytest.mark.parametrize("name", ["ce", "ce-sam"])
def test_training_loss_is_that_at_w(tmp_path, name):
    # ρ = 50 is ten times the weights' own norm: the loss at w + ε is another number
    recipe = one_step(name=name) if name == "ce" else one_step(optimizer="sam", rho=50.0)
    start, _, metrics = start_and_end(tmp_path, recipe)
    assert metrics["train_loss"] == pytest.approx(float(mean_loss(start).detach()), rel=1e-5)


def test_training_accuracy_of_sam_is_that_at_w(tmp_path):
    start, _, metrics = start_and_end(tmp_path, one_step(optimizer="sam", rho=50.0))
    x, y = batch_of(tiny_data())
    assert metrics["train_accuracy"] == float((start(x).argmax(1) == y).sum()) / len(y)


def test_one_step_of_sgd_subtracts_lr_times_the_gradient(tmp_path):
    start, end, _ = start_and_end(tmp_path, one_step(lr=0.1, weight_decay=0.3))
    gradients = torch.autograd.grad(mean_loss(start), list(start.parameters()))
    for p, g, q in zip(start.parameters(), gradients, end.parameters(), strict=True):
        torch.testing.assert_close(q.detach(), p.detach() - 0.1 * (g + 0.3 * p.detach()), **LOOSE)


def test_one_step_of_sam_subtracts_lr_times_the_gradient_uphill(tmp_path):
    start, end, _ = start_and_end(tmp_path, one_step(optimizer="sam", rho=0.5))
    before = [p.detach().clone() for p in start.parameters()]
    climb(start, 0.5)
    gradients = torch.autograd.grad(mean_loss(start), list(start.parameters()))
    for p, g, q in zip(before, gradients, end.parameters(), strict=True):
        torch.testing.assert_close(q.detach(), p - 0.1 * g, **LOOSE)


def test_class_weights_enter_as_a_weighted_mean_over_the_batch(tmp_path):
    recipe = one_step(weighting="reweight")
    start, _, metrics = start_and_end(tmp_path, recipe)
    expected = mean_loss(start, class_weights(recipe, COUNTS, 0))
    assert metrics["train_loss"] == pytest.approx(float(expected.detach()), rel=1e-5)


def test_the_ragged_last_batch_counts_by_its_images(tmp_path):
    # lr so small that the weights stay: the epoch's loss is the mean over the images, in eval
    # statistics of no batch, so batch norm is kept out by the softmax network.
    recipe = one_step(batch_size=16, lr=1e-12)
    job = tiny_job(tmp_path, recipe, architecture=Architecture("softmax", 3, 1, 4))
    train_job(dataclasses.replace(job, keep_epochs=(0, 1)))
    start, end = (load_native(checkpoint_path(tmp_path, e)) for e in (0, 1))
    expected = float(mean_loss(start.model()).detach())
    assert end.metrics["train_loss"] == pytest.approx(expected, rel=1e-5)
