"""``spectra sam`` from end to end, and against what its words mean."""

import json
from pathlib import Path

import pytest
import torch
from command_line import invoke, refused

from checkpoints import AnalysisRequest, load_checkpoint, load_data
from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.directions.sam import measure_sam
from checkpoints.analysis.request import TheoremRequest
from spectra import InputError
from spectra.results.directions.sam_result import load_sam
from spectra.results.directions.theorem_result import load_theorem

DIGITS = "bundled:digits/ce-drw"
BATCHES = ("--num-batches", 4, "--batch-size", 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    result = invoke("sam", DIGITS, "--class", "5,8", "--rho", "0.1", *BATCHES, "-o", folder)
    assert result.exit_code == 0, result.output
    (folder / "stdout.txt").write_text(result.stdout)
    return folder


def test_every_class_ends_in_a_sentence_and_what_would_change_it(folder):
    shown = " ".join((folder / "stdout.txt").read_text().split())
    result = load_sam(folder / "sam.json")
    assert [effect.label for effect in result.effects] == ["5", "8"]
    for effect, sentence in zip(result.effects, result.sentences, strict=True):
        assert f"{sentence} What would change it: {effect.next_step}" in shown


def test_the_slopes_are_those_of_the_losses_gradients(folder):
    checkpoint, data = load_checkpoint(DIGITS), load_data()
    losses = Losses.of(checkpoint, data, AnalysisRequest())
    for effect in load_sam(folder / "sam.json").effects:
        op = losses.prepare(effect.label, (int(effect.label),), check=False).op.in_float64()
        g = op.gradient()
        assert effect.grad_norm == pytest.approx(float(g.norm()), rel=1e-5)
        assert effect.predicted == pytest.approx(1 + 0.1 * effect.curvature / effect.grad_norm)
        # No slope is larger than its gradient.
        with op.moved(0.1 * g / g.norm()):
            after = float(op.gradient().norm())
        assert abs(effect.own.sam) <= after * (1 + 1e-4)
        assert 0 <= effect.own.plain <= effect.grad_norm


def test_theorem_and_sam_agree(folder, tmp_path):
    done = invoke("theorem", DIGITS, "--class", "8", "--rho", "0.1", *BATCHES, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    (report,) = load_theorem(tmp_path / "theorem.json").classes
    (effect,) = report.effects
    other = load_sam(folder / "sam.json").by_class["8"][0]
    assert report.sentence == effect.sentence == other.sentence
    assert report.sentence in " ".join(done.stdout.split())
    (factor,), (batch,) = report.class_factors, report.batches
    assert effect.squares == batch
    # Float32 slopes of images against float64 sums of gradients.
    assert abs(factor.measured) == pytest.approx(abs(effect.own.sam / effect.own.plain), rel=1e-4)


def test_a_theorem_of_an_earlier_version_has_a_sentence_that_says_so():
    read = load_theorem(Path(__file__).parents[2] / "docs/study/theorem/theorem.json")
    assert {one.effects for one in read.classes} == {()}
    assert "was not recorded" in read.classes[0].sentence


def test_the_same_command_prints_the_same_json(folder, tmp_path):
    asked = ("sam", DIGITS, "--class", "5,8", *BATCHES, "-o", tmp_path, "--json")
    shown = json.loads(invoke(*asked).stdout)
    assert (tmp_path / "sam.json").read_bytes() == (folder / "sam.json").read_bytes()
    assert shown["sentences"] == list(load_sam(folder / "sam.json").sentences)


def test_a_batch_has_no_more_images_than_there_are():
    request = TheoremRequest(
        AnalysisRequest(classes="9", images_per_class=2), rhos=(0.1,), num_batches=2
    )
    found = measure_sam(load_checkpoint(DIGITS), load_data(), request)
    assert found.effects[0].batch_size == 20
    effect = found.effects[0]
    assert (effect.batches, effect.squares, effect.noise) == (None, None, None)
    assert "A mini-batch is all of the 20 images" in effect.sentence


def test_a_theorem_without_batches_to_draw_is_of_the_class_alone(tmp_path):
    asked = ("--class", "9", "--images-per-class", 2, "--rho", "0.1", "-o", tmp_path)
    done = invoke("theorem", DIGITS, *asked)
    assert done.exit_code == 0, done.output
    (report,) = load_theorem(tmp_path / "theorem.json").classes
    assert (report.batches, report.correlated_noise) == ((), None)
    assert "A mini-batch is all of the 20 images" in " ".join(done.stdout.split())


def test_views_of_an_image_are_one_draw():
    request = TheoremRequest(
        AnalysisRequest(classes="9", images="frozen:2"), rhos=(0.1,), num_batches=2, batch_size=8
    )
    found = measure_sam(load_checkpoint(DIGITS), load_data(), request)
    assert found.effects[0].own.draws == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rho", "x"), "--rho must read like 0.05,0.5"),
        (("--rho", "0"), "rho must be positive"),
        (("--images", "fresh"), "fixed matrix"),
        (("--parameters", "linear"), "SAM moves all parameters"),
        (("--class", "12"), "class"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, tmp_path):
    assert said in refused("sam", DIGITS, *arguments, "-o", tmp_path)


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "sam.json").write_text("{}")
    with pytest.raises(InputError, match=r"is not a sam\.json of 'spectra sam'"):
        load_sam(tmp_path / "sam.json")


def test_global_randomness_is_left_alone():
    before = torch.get_rng_state()
    request = TheoremRequest(AnalysisRequest(classes="9"), rhos=(0.1,), num_batches=2, batch_size=8)
    measure_sam(load_checkpoint(DIGITS), load_data(), request)
    assert torch.equal(torch.get_rng_state(), before)
