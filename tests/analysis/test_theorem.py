"""``spectra theorem`` from end to end, on a bundled checkpoint."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from checkpoints import load_checkpoint, load_data
from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.request import AnalysisRequest
from cli.main import cli
from spectra import HessianOperator

ARGUMENTS = (
    "theorem", "bundled:digits/ce-drw", "--classes", "0,8", "--rho", "0.001,0.1",
    "--num-batches", "6", "--batch-size", "32",
)  # fmt: skip


def invoke(*arguments: object):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theorem")
    result = invoke(*ARGUMENTS, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def classes(folder: Path) -> list[dict]:
    return json.loads((folder / "theorem.json").read_text())["classes"]


def operator(label: int) -> HessianOperator:
    checkpoint, data = load_checkpoint("bundled:digits/ce-drw"), load_data()
    losses = Losses.of(checkpoint, data, AnalysisRequest())
    return losses.prepare(str(label), (label,), check=False).op


def test_a_small_radius_is_predicted_to_first_order(classes):
    for one in classes:
        small = one["batches"][0]
        assert small["measured"]["estimate"] == pytest.approx(
            small["predicted"]["estimate"], rel=0.02
        )


def test_critical_radius_is_twice_the_gradient_over_the_curvature(classes):
    for one in classes:
        assert one["critical_rho"] == pytest.approx(2 * one["grad_norm"] / -one["lambda_min"])


def test_curvature_splits_into_gauss_newton_and_the_rest(classes):
    for one in classes:
        assert one["gauss_newton"] >= 0
        own = one["cross"][one["label"]]
        assert one["gauss_newton"] + one["rest"] == pytest.approx(own, rel=1e-6)
        assert own == pytest.approx(one["lambda_min"], rel=1e-3)


def test_the_loss_line_passes_through_the_losses_of_the_classes(classes):
    for one in classes:
        middle = one["line_steps"].index(0.0)
        for label, losses in one["line"].items():
            assert losses[middle] == pytest.approx(operator(int(label)).loss(), rel=1e-5)


def test_a_vector_overlaps_itself_and_others_alike(classes):
    first, second = classes
    assert first["overlaps"]["0"] == pytest.approx(1.0, abs=1e-6)
    assert first["overlaps"]["8"] == pytest.approx(second["overlaps"]["0"])


def test_a_figure_is_drawn(folder):
    assert (folder / "theorem.png").stat().st_size > 10_000


def test_the_same_command_writes_the_same_bytes(folder, tmp_path):
    invoke(*ARGUMENTS, "-o", tmp_path)
    for name in ("theorem.json", "theorem.png"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rho", "x"), "0.05,0.5"),
        (("--rho", "0"), "rho must be positive"),
        (("--rho", "nan"), "rho must be positive"),
        (("--rho", ""), "rho must be positive"),
        (("--num-batches", "1"), "at least 2"),
        (("--images", "fresh"), "fixed matrix"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(arguments, said, tmp_path, monkeypatch):
    # Before any work: nothing is left to read the checkpoint with.
    monkeypatch.setattr("checkpoints.load_checkpoint", None)
    result = invoke("theorem", "bundled:digits/ce-drw", *arguments, "-o", tmp_path)
    assert result.exit_code == 2
    assert said in result.stderr
