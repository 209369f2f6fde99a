"""``--loss objective``: what training minimised, as one loss."""

from dataclasses import replace

import pytest
import torch

from checkpoints import AnalysisRequest, analyze, load_checkpoint, load_data
from checkpoints.analysis.analyzed_loss import loss_terms
from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.request import TheoremRequest
from spectra import InputError, SolverSettings, load_analysis
from spectra.results.plain import to_plain

EXTREMES = SolverSettings(num_probes=0, max_steps=4)
EVERY = tuple(range(10))


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint("bundled:digits/ce-drw")


@pytest.fixture(scope="module")
def data():
    return load_data()


def objective(checkpoint, data, **request):
    asked = AnalysisRequest(loss="objective", dtype="float64", **request)
    return Losses.of(checkpoint, data, asked).prepare("objective", EVERY, check=False).op


def test_its_gradient_is_what_training_steps_along_with_all_images_in_one_batch(checkpoint, data):
    op = objective(checkpoint, data)
    model, recipe = checkpoint.model().double().eval(), checkpoint.recipe
    before = torch.cat([p.detach().reshape(-1).clone() for p in model.parameters()])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=recipe.weight_decay)
    terms = loss_terms(checkpoint, "train", checkpoint.class_counts)
    images = data.normalisation(data.train.images, torch.float64)
    weights = terms.weights[data.train.labels]
    ((weights * terms.loss(model(images), data.train.labels)).sum() / weights.sum()).backward()
    optimizer.step()
    after = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    # float64, but for the sum of some thousand terms in another order.
    torch.testing.assert_close(before - after, op.gradient(), rtol=0, atol=1e-12)


def test_weight_decay_is_the_recipes_or_what_was_asked_for(checkpoint, data):
    assert objective(checkpoint, data).decay == checkpoint.recipe.weight_decay > 0
    assert objective(checkpoint, data, weight_decay=0.25).decay == 0.25
    assert objective(checkpoint, data, weight_decay=0.0).decay == 0.0


def test_resampled_images_weigh_as_often_as_they_were_drawn(checkpoint):
    drawn = replace(checkpoint, recipe=replace(checkpoint.recipe, weighting="resample"))
    counts = (30, 10, 0)
    bare = replace(drawn, class_counts=counts)
    weights = loss_terms(bare, "objective", counts).weights
    # 40 images an epoch, 20 of each class that has any.
    assert weights.tolist() == pytest.approx([20 / 30, 20 / 10, 0.0])


def test_a_strangers_network_needs_its_weight_decay_said(checkpoint, data):
    unknown = replace(checkpoint, recipe=None)
    with pytest.raises(InputError, match="does not say how it was trained: give --weight-decay"):
        objective(unknown, data)
    op = objective(unknown, data, weight_decay=0.5)
    assert op.decay == 0.5
    assert op.weights.unique().tolist() == [1.0]


def test_it_is_one_record_that_a_file_holds_with_its_weight_decay(checkpoint, data, tmp_path):
    request = AnalysisRequest(loss="objective", images_per_class=4, solver=EXTREMES)
    found = analyze(checkpoint, data, request)
    assert [(r.label, r.classes) for r in found.records] == [("objective", EVERY)]
    found.save(tmp_path / "found.json")
    protocol = load_analysis(tmp_path / "found.json").protocol
    assert (protocol.loss, protocol.weight_decay) == ("objective", checkpoint.recipe.weight_decay)
    assert "weight_decay" not in to_plain(replace(protocol, loss="ce", weight_decay=None))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"classes": "8"}, "one loss of all classes; leave out --classes 8"),
        ({"classes": "all,overall"}, "leave out --classes all,overall"),
        ({"split": "test"}, "leave out --split test"),
        ({"weight_decay": -1.0}, "weight-decay must be finite and at least 0, got -1.0"),
        ({"loss": "ce", "weight_decay": 0.1}, "part of the training objective alone, got 0.1"),
    ],
)
def test_what_is_not_of_it_is_refused_in_a_line(asked, said):
    with pytest.raises(InputError, match=said):
        AnalysisRequest(**{"loss": "objective", **asked})


def test_the_theorem_is_of_losses_without_weight_decay():
    with pytest.raises(InputError, match="take --loss ce or train"):
        TheoremRequest(AnalysisRequest(loss="objective"))
