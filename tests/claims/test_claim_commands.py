import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import invoke

from checkpoints import AnalysisRequest, load_checkpoint, load_data
from checkpoints.analysis.class_losses import Losses
from spectra import (
    Analysis,
    InputError,
    SolverSettings,
    analyze_loss,
    class_hessian,
    negative_share,
    save_analysis,
)
from spectra.results.claims.best_steps_result import load_best_steps
from spectra.results.claims.class_outliers_result import load_class_outliers
from spectra.results.claims.negative_share_result import load_negative_share, negative_shares
from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity

DIGITS = "bundled:digits/ce-drw"
FEW = ("--images-per-class", 4, "--max-steps", 90)


def shown(result) -> str:
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_alain2019_says_its_sentence_and_stores_steps_that_lower_the_loss(tmp_path):
    said = shown(invoke("claim", "alain2019", DIGITS, "--class", 8, "--pairs", 2, *FEW,
                        "-o", tmp_path))  # fmt: skip
    result = load_best_steps(tmp_path / "alain2019.json")
    assert result.sentence in said
    (loss,) = result.losses
    assert [step.value > 0 for step in loss.steps] == [False, False, True, True]
    op = Losses.of(
        load_checkpoint(DIGITS), load_data(), AnalysisRequest(images_per_class=4)
    ).prepare("8", (8,), check=False).op  # fmt: skip
    assert loss.loss == pytest.approx(op.in_float64().loss())
    assert all(0 <= step.decrease <= loss.loss for step in loss.steps)
    assert (tmp_path / "alain2019.png").exists()


def test_papyan2020_splits_every_eigenvalue_among_the_classes(tmp_path):
    said = shown(invoke("claim", "papyan2020", DIGITS, "--class", 8, *FEW, "--num-steps", 20,
                        "--json", "-o", tmp_path))  # fmt: skip
    result = load_class_outliers(tmp_path / "papyan2020.json")
    assert json.loads(said)["sentence"] == result.sentence
    found = result.overall.outliers
    after = " and ".join(f"{found.ratio_after(k):.3g} after {k}" for k in (9, 10))
    assert f"(the next widest {found.next_ratio:.3g}; {after})" in result.sentence
    assert len(result.top) == 20
    for one in result.top[:10]:
        assert sum(one.shares.values()) == pytest.approx(1, rel=1e-9)
        assert 0 <= one.by_class_means <= one.by_cross_means + 1e-9 <= 1 + 2e-9
    # The matrix between classes is a part of G, from which H differs by the network's bending.
    assert result.between_classes[0] <= 1.5 * result.overall.outliers.values[0]
    assert [one.label for one in result.classes] == ["8"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    images, labels = torch.linspace(-1, 1, 120).view(30, 4), torch.arange(30) % 3
    settings = SolverSettings(num_probes=2, num_steps=4)
    H = class_hessian(torch.nn.Linear(4, 3), images, labels, 0)
    record = analyze_loss(H, label="0", classes=(0,), settings=settings)
    found = Analysis(CheckpointIdentity("line"), AnalysisProtocol(loss="ce"), (record,))
    path = tmp_path_factory.mktemp("stored") / "found.json"
    save_analysis(path, found)
    return path


def test_ghorbani2019_reads_stored_densities(stored, tmp_path):
    said = shown(invoke("claim", "ghorbani2019", stored, stored, "-o", tmp_path))
    result = load_negative_share(tmp_path / "ghorbani2019.json")
    assert result.sentence in said
    from spectra import load_analysis

    (record,) = load_analysis(stored).records
    assert [share.found for share in result.shares] == 2 * [negative_share(record.spectrum)]


def test_results_without_a_density_are_refused(stored):
    from spectra import load_analysis

    found = load_analysis(stored)
    bare = replace(found, records=(replace(found.records[0], spectrum=None),))
    with pytest.raises(InputError, match="--num-probes 2"):
        negative_shares([bare])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("alain2019", DIGITS, "--images", "fresh"), "--images plain or frozen:K"),
        (("papyan2020", DIGITS, "--gauss-newton"), "leave out --gauss-newton"),
        (("ghorbani2019", DIGITS, "runs/other"), "give one run"),
        (("ghorbani2019", "nowhere.json"), "nowhere.json"),
    ],
)
def test_what_cannot_be_tested_is_one_line(words, told):
    result = invoke("claim", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (load_best_steps, "alain2019"),
        (load_negative_share, "ghorbani2019"),
        (load_class_outliers, "papyan2020"),
    ],
)
def test_a_file_of_another_kind_is_refused(load, name, stored):
    with pytest.raises(InputError, match=name):
        load(stored)
