"""The published recurrence taken apart, from Python and from the command line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from checkpoints import load_checkpoint, load_data
from checkpoints.analysis.protocols.recurrences import measure_recurrences
from checkpoints.analysis.request import AnalysisRequest
from cli.main import cli
from spectra import InputError, SolverSettings, load_analysis
from spectra.engines.published_recurrence import VARIANTS
from spectra.results.protocols.recurrences_result import load_recurrences, save_recurrences

ASKED = ("recurrences", "bundled:digits/ce-drw", "--class", "9", "--num-steps", "12")


def invoke(*arguments: object):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def request(**options) -> AnalysisRequest:
    return AnalysisRequest(
        classes="9", solver=SolverSettings(num_probes=1, num_steps=12, seed=3), **options
    )


@pytest.fixture(scope="module")
def fresh():
    return measure_recurrences(
        load_checkpoint("bundled:digits/ce-drw"), load_data(), request(images="fresh"),
        arithmetics=("published", "float64"), seeds=(0, 3),
    )  # fmt: skip


def test_every_arithmetic_has_the_same_draws_and_start(fresh):
    assert [(run.seed, run.arithmetic) for run in fresh.runs] == [
        (0, "published"), (0, "float64"), (3, "published"), (3, "float64"),
    ]  # fmt: skip
    for one, other in zip(fresh.runs[::2], fresh.runs[1::2], strict=True):
        # Four steps in, before rounding of float32 is amplified.
        np.testing.assert_allclose(one.alphas[:4], other.alphas[:4], rtol=1e-3)
        np.testing.assert_allclose(one.betas_before[:4], other.betas_before[:4], rtol=1e-3)
    assert fresh.runs[0].alphas[:4] != fresh.runs[2].alphas[:4]


def test_a_file_is_read_as_what_was_written(fresh, tmp_path):
    save_recurrences(tmp_path / "one.json", fresh)
    assert load_recurrences(tmp_path / "one.json") == fresh
    run = json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))["runs"][0]
    assert {end["variant"] for end in run["ends"]} == set(VARIANTS)
    assert {end["steps"] for end in run["ends"]} == {10, 12}


def test_its_products_and_its_arithmetic_are_the_analysis_by_its_engine(tmp_path):
    options = ("--images", "fresh", "--engine", "pyhessian", "--num-steps", "12", "--json")
    result = invoke(*ASKED[:4], *options, "--arithmetic", "published", "-o", tmp_path / "a")
    assert result.exit_code == 0, result.output
    analyze = ("analyze", *ASKED[1:4], *options, "--num-probes", 1, "-o", tmp_path / "b")
    assert invoke(*analyze, "--no-figures").exit_code == 0
    theirs = load_analysis(tmp_path / "b" / "analysis.json").records[0].spectrum.probes[0]
    ours = load_recurrences(tmp_path / "a" / "recurrences.json").runs[0].recurrence
    np.testing.assert_array_equal(ours.alphas, theirs.alphas)
    np.testing.assert_array_equal(ours.betas_before[:-1], theirs.betas)


def test_exact_ends_bound_those_of_a_run_over_plain_images(tmp_path):
    result = invoke(*ASKED, "--images", "plain", "--exact", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "by SciPy in float64" in result.output
    found = load_recurrences(tmp_path / "recurrences.json")
    exact, run = found.exact[0], found.runs[1]
    assert run.arithmetic == "float64"
    # Ritz values of float32 products, which are off by some 1e-6 of the largest.
    slack = 1e-5 * exact.lambda_max
    assert exact.lambda_min - slack <= run.ends().lambda_min
    assert run.ends().lambda_max <= exact.lambda_max + slack


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--images", "fresh", "--exact"), "no exact eigenvalues"),
        (("--arithmetic", "float16"), "arithmetic must be one of published"),
        (("--seeds", "one"), "--seeds must read like 0,1,2"),
    ],
)
def test_what_does_not_fit_is_one_line_and_exit_code_two(tmp_path, options, said):
    result = invoke(*ASKED, *options, "-o", tmp_path)
    assert result.exit_code == 2
    assert said in result.stderr


def test_no_class_is_refused(tmp_path):
    result = invoke(*ASKED[:2], "-o", tmp_path)
    assert result.exit_code == 2
    assert "--class 8" in result.stderr


def test_the_objective_has_no_published_protocol():
    with pytest.raises(InputError, match="classes"):
        measure_recurrences(
            load_checkpoint("bundled:digits/ce-drw"), load_data(),
            AnalysisRequest(loss="objective"),
        )  # fmt: skip
