"""All of a captured step but the calls of CUDA: a recorder that repeats the work stands in."""

import copy
import logging

import pytest
import torch
from tiny_trainings import tiny_data, tiny_recipe

from checkpoints.models import Architecture, build_model, initialise
from checkpoints.training import captured as captured_module
from checkpoints.training import trainer as trainer_module
from checkpoints.training.captured import WARM_UP, CapturedStep
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.trainer import Trainer, descent
from spectra import make_generator
from spectra.system.recording import Recording

CPU = torch.device("cpu")


class Repeater:
    """As a graph does: recording changes no tensor, a replay rewrites the same outcome."""

    def __init__(self, tensors):
        self.tensors = tensors
        self.warm, self.recorded, self.replayed, self.live = 0, 0, 0, 0

    def warm_up(self, work):
        self.warm += 1
        return work()

    def record(self, work):
        held = self.tensors()
        before = [t.detach().clone() for t in held]
        outcome = tuple(torch.empty_like(t) for t in work())
        with torch.no_grad():
            for t, value in zip(held, before, strict=True):
                t.copy_(value)
        self.recorded += 1
        number = self.recorded

        def replay():
            assert number == self.recorded, "a recording of before was replayed"
            self.replayed += 1
            for held, made in zip(outcome, work(), strict=True):
                held.copy_(made)

        return Recording(replay, outcome)


class Refusing(Repeater):
    def record(self, work):
        self.recorded += 1
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")


def trainer(recipe, *, captured: bool, recorder=Repeater, monkeypatch=None) -> Trainer:
    model = build_model(Architecture("digits-resnet", 3, 1, 4, recipe.head))
    initialise(model, make_generator(0))
    optimizer = descent(recipe, model, CPU)

    def tensors():
        momentum = [s.get("momentum_buffer") for s in optimizer.state.values()]
        return [*model.state_dict().values(), *(m for m in momentum if m is not None)]

    if captured:
        monkeypatch.setattr(trainer_module, "CudaRecorder", lambda device: recorder(tensors))
    execution = Execution(captured=True) if captured else EXACT
    return Trainer(recipe, tiny_data(), model, optimizer, seed=0, device=CPU, execution=execution)


# 17 images: four batches of four and a ragged one an epoch; the learning rate rises over the first
# two epochs of 80, and ρ changes in the third.
LONG = {"epochs": 80, "batch_size": 4}
RECIPES = {
    "sgd": tiny_recipe("ce-drw", **LONG),
    "sam": tiny_recipe("ldam-drw-sam", rho_schedule="0:0.1,0.025:0.5", **LONG),
    "sam, first": tiny_recipe("ce-sam", sam_bn="first", **LONG),
    "asam": tiny_recipe("vs", optimizer="asam", rho=0.5, **LONG),
    "no momentum": tiny_recipe("ce", momentum=0.0, **LONG),
}


@pytest.mark.parametrize("name", RECIPES)
def test_replayed_steps_are_the_eager_ones_to_the_last_bit(monkeypatch, name):
    eager = trainer(RECIPES[name], captured=False)
    captured = trainer(RECIPES[name], captured=True, monkeypatch=monkeypatch)
    for epoch in range(4):
        assert captured.run_epoch(epoch) == eager.run_epoch(epoch)
        for found, wanted in zip(
            captured.model.state_dict().values(), eager.model.state_dict().values(), strict=True
        ):
            assert torch.equal(found, wanted)
    assert captured.captured.recorder.replayed == 4 * 4 - WARM_UP


# The warm-up of the learning rate takes two of 80 epochs: it is one number in the first epoch and
# another from the second on.
@pytest.mark.parametrize(("name", "recorded"), [("sgd", 2), ("sam", 3)])
def test_a_step_is_recorded_anew_at_another_learning_rate_or_radius_alone(
    monkeypatch, name, recorded
):
    captured = trainer(RECIPES[name], captured=True, monkeypatch=monkeypatch)
    for epoch in range(4):
        captured.run_epoch(epoch)
    assert captured.captured.recorder.recorded == recorded


def test_steps_before_the_recording_are_real_ones_and_no_more_than_are_needed(monkeypatch):
    captured = trainer(RECIPES["sgd"], captured=True, monkeypatch=monkeypatch)
    captured.run_epoch(0)
    assert captured.captured.recorder.warm == WARM_UP
    assert int(captured.model.state_dict()["bn1.num_batches_tracked"]) == 5


def test_where_recording_fails_all_steps_are_eager_and_it_is_said_once(monkeypatch, caplog):
    eager = trainer(RECIPES["sam"], captured=False)
    refused = trainer(RECIPES["sam"], captured=True, recorder=Refusing, monkeypatch=monkeypatch)
    with caplog.at_level(logging.WARNING, logger=captured_module.__name__):
        for epoch in range(3):
            assert refused.run_epoch(epoch) == eager.run_epoch(epoch)
    assert refused.captured.recorder.recorded == 1
    (message,) = caplog.messages
    assert message == (
        "the training step cannot be captured here (operation not permitted when stream is "
        "capturing); it is made eagerly"
    )


# --- a step of its own --------------------------------------------------------------------------


class Sum:
    """Adds up what it is shown, in tensors."""

    def __init__(self):
        self.total = torch.zeros(())
        self.gradients_cleared = 0
        self.factor = 1.0

    def step(self, images, labels, weights):
        self.total += self.factor * (images.sum() + weights.sum())
        return self.total.clone(), labels.sum()

    def clear(self):
        self.gradients_cleared += 1

    def captured(self, size: int = 2) -> CapturedStep:
        return CapturedStep(
            self.step,
            size=size,
            settings=lambda: self.factor,
            clear=self.clear,
            recorder=Repeater(lambda: [self.total]),
        )


def batch(value: float, n: int = 2):
    return torch.full((n, 3), value), torch.full((n,), int(value)), torch.full((n,), value)


def test_a_replay_works_on_the_batch_it_is_given():
    problem = Sum()
    step = problem.captured()
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    hits = [int(step(*batch(v))[1]) for v in values]
    assert hits == [2 * int(v) for v in values]
    assert float(problem.total) == sum(8 * v for v in values)


def test_a_batch_that_was_given_is_not_changed_by_the_next():
    step = Sum().captured()
    given = [batch(float(v)) for v in range(WARM_UP + 3)]
    kept = copy.deepcopy(given)
    for each in given:
        step(*each)
    for each, before in zip(given, kept, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(each, before, strict=True))


def test_batches_of_another_size_are_stepped_eagerly_and_disturb_no_recording():
    problem = Sum()
    step = problem.captured()
    for v in (1.0, 1.0, 1.0, 1.0):
        step(*batch(v))
    step(*batch(1.0, n=1))
    step(*batch(1.0))
    assert (step.recorder.recorded, step.recorder.replayed) == (1, 2)
    assert float(problem.total) == 5 * 8 + 4


def test_batches_of_one_size_alone_are_recorded():
    step = Sum().captured(size=3)
    for v in range(6):
        step(*batch(float(v)))
    assert (step.recorder.warm, step.recorder.recorded) == (0, 0)


def test_gradients_are_emptied_before_each_recording():
    problem = Sum()
    step = problem.captured()
    for factor in (1.0, 1.0, 1.0, 1.0, 2.0, 2.0):
        problem.factor = factor
        step(*batch(1.0))
    assert step.recorder.recorded == problem.gradients_cleared == 2
    assert float(problem.total) == 4 * 8 + 2 * 16


def test_another_layout_of_the_images_is_recorded_anew():
    problem = Sum()
    step = problem.captured()
    images, labels, weights = batch(1.0)
    for layout in [images] * 5 + [images.T.contiguous().T] * 2:
        step(layout, labels, weights)
    assert step.recorder.recorded == 2
    assert float(problem.total) == 7 * 8
