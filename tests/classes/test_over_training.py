import copy
import math
import random

import numpy as np
import pytest
import torch
from image_data import IMAGES, LABELS, Augmented, Compiled
from oracles import build_net, images_and_labels
from torch import nn

import figures
import spectra
from spectra import ClassSpectra, InputError, NonFiniteError

PAIR = (IMAGES, LABELS)


def few(data=PAIR, **options):
    """Return a recorder of a few steps."""
    return ClassSpectra(data, **{"every": 2, "classes": [0, 2], "num_steps": 4, **options})


@pytest.fixture
def linear():
    generator = spectra.make_generator(0, "weights")
    model = nn.Sequential(nn.Linear(4, 3))
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator)
    return model


def train_a_little(recorder, *, epochs=4):
    """Train with dropout, shuffles and momentum; return losses, and what is drawn afterwards."""
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    images, labels = images_and_labels(22)
    model = nn.Sequential(build_net("mlp_bn"), nn.Dropout(0.3)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(22).split(6):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if recorder is not None:
            recorder.record(model, epoch)
    buffers = [b.tolist() for b in model.buffers()]
    drawn = [random.random(), float(np.random.random()), float(torch.rand(1))]
    return losses, buffers, drawn, [m.training for m in model.modules()]


def test_a_training_goes_on_as_if_nothing_had_been_recorded():
    recorder = few(images_and_labels(22), classes="all", every=1)
    assert train_a_little(recorder) == train_a_little(None)
    assert [a.checkpoint.epoch for a in recorder.analyses] == [1, 2, 3, 4]


def test_between_recordings_nothing_is_done(linear):
    recorder = few(every=3)
    assert [recorder.record(linear, epoch) is None for epoch in range(1, 7)] == [
        True, True, False, True, True, False,
    ]  # fmt: skip
    assert [a.checkpoint.epoch for a in recorder.analyses] == [3, 6]
    assert [recorder.due(epoch) for epoch in (3, 4)] == [True, False]


def test_a_recording_is_what_analyze_classes_finds(linear):
    found = few(images_per_class=6, seed=3).record(linear, 2)
    expected = spectra.analyze_classes(
        linear, PAIR, [0, 2], images_per_class=6, num_probes=1, num_steps=4, max_steps=4, seed=3,
        bending=False,
    )  # fmt: skip
    assert found.rows() == expected.rows()
    assert found.protocol == expected.protocol
    assert found.checkpoint.digest == expected.checkpoint.digest


def test_model_gradients_and_buffers_stay_as_they_were():
    images, labels = images_and_labels(22)
    model = build_net("mlp_bn").train().double()
    model[0].eval()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    before = copy.deepcopy(model)
    grads = [(p.grad, p.grad.clone()) for p in model.parameters()]
    few((images, labels)).record(model, 2)
    for p, (grad, value) in zip(model.parameters(), grads, strict=True):
        assert p.grad is grad
        assert torch.equal(grad, value)
    for (key, value), kept in zip(
        model.state_dict().items(), before.state_dict().values(), strict=True
    ):
        assert value.dtype == kept.dtype, key
        assert torch.equal(value, kept), key
    modes = [m.training for m in before.modules()]
    assert [m.training for m in model.modules()] == modes


def test_every_recording_is_of_the_same_images(linear):
    recorder = few(Augmented(), images_per_class=6)
    first, second = (recorder.record(linear, epoch) for epoch in (2, 4))
    assert first.rows() == second.rows()
    assert first.checkpoint.data == second.checkpoint.data


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_probes": 3},
        {"max_steps": 9},
        {"classes": ["all", "overall"], "images_per_class": 5},
        {"num_steps": 40, "dtype": torch.float64},
    ],
)
def test_a_recording_takes_at_most_what_it_says_before(linear, options):
    recorder = few(**options)
    cost = recorder.cost(linear)
    found = recorder.record(linear, 2)
    (took,) = recorder.took
    assert took.image_products == sum(r.image_products for r in found.records)
    # Not much less either, or it would say little: a space of 15 dimensions may close early.
    assert 0.5 * cost.image_products < took.image_products <= cost.image_products
    assert cost.losses == len(found.records)
    assert cost.images == sum(r.n for r in found.records)
    assert took.epoch == 2
    assert took.seconds > 0


def test_the_cost_of_a_network_is_known_without_a_product():
    recorder = ClassSpectra(PAIR, images_per_class=None)
    cost = recorder.cost(nn.Linear(4, 1000))
    assert cost.products == 46  # 40 steps, and 6 to check both ends
    # And a bootstrap of 26 forward passes an image, tried on one image of each loss.
    assert cost.image_products == math.ceil(30 * (46 + 26 / 6) + 3 * (13 / 6 + 2))
    assert recorder.took == ()
    assert str(cost).startswith("at most 46 products for each of 3 losses, 1,523 image products")


def test_files_are_those_of_a_trajectory(linear, tmp_path):
    recorder = few()
    for epoch in range(1, 5):
        recorder.record(linear, epoch)
    paths = recorder.save(tmp_path / "run")
    assert [path.name for path in paths] == ["epoch-0002.json", "epoch-0004.json"]
    read = [spectra.load_analysis(path) for path in paths]
    assert [a.rows() for a in read] == [a.rows() for a in recorder.analyses]


def test_a_recording_is_drawn_as_a_trajectory(linear, tmp_path):
    recorder = few()
    for epoch in (2, 4):
        with torch.no_grad():
            linear[0].weight.mul_(1.1)
        recorder.record(linear, epoch)
    written = figures.draw_trajectories({"mine": recorder.analyses}, tmp_path, formats=["svg"])
    assert [path.name for path in written] == ["trajectory.svg"]


def test_a_compiled_model_is_recorded_as_what_it_wraps(linear):
    one, other = few().record(linear, 2), few().record(Compiled(linear), 2)
    assert one.rows() == other.rows()


def test_the_first_recording_checks_the_network():
    class Mixes(nn.Linear):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    with pytest.raises(spectra.OperatorError):
        few().record(Mixes(4, 3), 2)


def test_a_training_that_diverged_is_an_error(linear):
    with torch.no_grad():
        linear[0].weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteError):
        few().record(linear, 2)


def test_an_epoch_is_recorded_once(linear):
    recorder = few()
    recorder.record(linear, 2)
    with pytest.raises(InputError, match="epoch 2 has been recorded; take another ClassSpectra"):
        recorder.record(linear, 2)


def test_epochs_are_integers(linear):
    recorder = ClassSpectra((IMAGES, LABELS), every=1, num_steps=2)
    assert recorder.record(linear, np.int64(1)).checkpoint.epoch == 1
    with pytest.raises(InputError, match=r"epoch must be an integer, got 2\.0"):
        recorder.record(linear, 2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 2.5}, "every must be an integer, got 2.5"),
        ({"every": 0}, "every must be at least 1 epoch, got 0"),
        ({"num_probes": 0}, "num_probes must be at least 1, got 0"),
        ({"num_steps": 0}, "num_steps must be in 1..1,000,000"),
        ({"classes": 7}, "class 7 does not exist"),
        ({"device": "cuda:99"}, "device cuda:99 is not here"),
        ({"images_per_class": 0}, "of at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused_when_the_recorder_is_built(options, message):
    with pytest.raises(InputError, match=message):
        few(**options)
