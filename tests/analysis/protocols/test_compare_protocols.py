"""One checkpoint under several choices of images, from Python and from the command line."""

import json

import pytest
from click.testing import CliRunner

from checkpoints import load_checkpoint, load_data
from checkpoints.analysis.compare_protocols import compare_protocols
from checkpoints.analysis.request import AnalysisRequest
from cli.main import cli
from spectra import SolverSettings, load_analysis, product_noise
from spectra.results.protocol_rows import protocol_rows


def invoke(*arguments: object):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


ANALYZE = ("analyze", "bundled:digits/ce-drw", "--classes", "9", "--num-probes", 1)


def test_fresh_images_are_named_in_the_result_and_survive_a_round_trip(tmp_path):
    result = invoke(*ANALYZE, "--num-steps", 6, "--images", "fresh", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "not a fixed matrix" in result.output
    kept = load_analysis(tmp_path / "analysis.json")
    assert kept.protocol.images == "fresh"
    assert kept.records[0].noise == product_noise(kept.records[0].spectrum)


def test_frozen_views_count_as_images(tmp_path):
    result = invoke(*ANALYZE, "--num-steps", 4, "--images", "frozen:all", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    record = load_analysis(tmp_path / "analysis.json").records[0]
    assert record.n == 6 * 9
    assert record.bootstrap is None


def test_a_wrong_protocol_is_one_line_and_exit_code_two(tmp_path):
    result = invoke(*ANALYZE, "--images", "augmented", "-o", tmp_path)
    assert result.exit_code == 2
    assert "plain, frozen:K, frozen:all or fresh" in result.stderr


def test_protocols_are_chosen_by_name(tmp_path):
    result = invoke(
        "analyze", "bundled:digits/ce-drw", "--classes", "9", "--num-steps", 6,
        "--protocols", "plain,frozen:all,fresh/pyhessian", "-o", tmp_path, "--json",
        "--width", "single",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["protocol"] for row in rows] == ["plain", "frozen:all", "fresh/pyhessian"]
    assert [row["n"] for row in rows] == [6, 54, 6]
    assert {row["class"] for row in rows} == {9}  # a number, as in every file
    drawn = sorted(path.suffix for path in tmp_path.glob("protocols.*"))
    assert drawn == [".json", ".pdf", ".png", ".txt"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain,frozen", "plain, frozen:K, frozen:all or fresh"),
        ("plain/other", "only /pyhessian may stand"),
        ("plain/", "only /pyhessian may stand"),
        ("plain,plain", "each choice of images once"),
        (",", "each choice of images once"),
    ],
)
def test_wrong_protocols_are_one_line_and_exit_code_two(tmp_path, text, said):
    result = invoke("analyze", "bundled:digits/ce-drw", "--protocols", text, "-o", tmp_path)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Five protocols of one class, and the folder that holds their results."""
    checkpoint, data = load_checkpoint("bundled:digits/ce-drw"), load_data()
    request = AnalysisRequest(classes="9", solver=SolverSettings(num_probes=0))
    wanted = ("plain", "plain/pyhessian", "frozen:1", "fresh", "fresh/pyhessian")
    folder = tmp_path_factory.mktemp("compared")
    found = compare_protocols(
        checkpoint, data, request, folder=folder, protocols=wanted, num_steps=60
    )
    rows = {row.protocol: row for row in protocol_rows(found)}
    assert list(rows) == list(wanted)
    return rows, folder


def test_a_comparison_says_what_belongs_to_a_matrix(compared):
    rows, _ = compared
    certain = [n for n, row in rows.items() if row.lambda_min_at_most is not None]
    assert certain == ["plain", "plain/pyhessian", "frozen:1"]
    assert [n for n, row in rows.items() if row.by_recurrence] == [
        "plain/pyhessian", "fresh", "fresh/pyhessian",
    ]  # fmt: skip
    assert rows["fresh"].alpha_over_beta > 0
    # PyHessian's recurrence is right about λmax here, to the 1e-6 in its norms.
    assert rows["plain/pyhessian"].node_max == pytest.approx(rows["plain"].lambda_max, rel=1e-2)


def test_a_row_and_the_record_beside_it_have_the_same_extremes(compared):
    rows, folder = compared
    for name, row in rows.items():
        record = load_analysis(folder / f"{name.replace('/', '-').replace(':', '-')}.json").records[
            0
        ]
        assert (row.lambda_min, row.lambda_max) == (record.lambda_min, record.lambda_max)
        assert (row.ratio, row.residual_min) == (record.ratio, record.residual_min)
        assert row.verdict == record.verdict.name
        if record.spectrum is not None:
            nodes = record.spectrum.nodes
            assert (row.node_min, row.node_max) == (nodes[0], nodes[-1])


def test_what_a_protocol_publishes_is_its_recurrences_ratio_or_the_matrixs(compared):
    rows, _ = compared
    assert rows["plain"].protocol_ratio == rows["plain"].ratio
    assert rows["plain"].node_ratio is None  # extremes alone
    assert rows["plain/pyhessian"].protocol_ratio == rows["plain/pyhessian"].node_ratio
    assert rows["fresh"].protocol_ratio == rows["fresh"].ratio


@pytest.mark.parametrize(("given", "steps"), [(None, 100), (30, 30)])
def test_the_published_protocol_takes_the_published_steps_unless_told(given, steps, tmp_path):
    checkpoint, data = load_checkpoint("bundled:digits/ce-drw"), load_data()
    request = AnalysisRequest(classes="9", solver=SolverSettings(num_probes=0))
    found = compare_protocols(
        checkpoint, data, request, folder=tmp_path, protocols=("fresh",), num_steps=given
    )
    assert found["fresh"].protocol.solver.num_steps == steps
    assert len(found["fresh"].records[0].spectrum.probes[0]) == steps
