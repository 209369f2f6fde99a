"""A dry run of the suite for GPUs: every step at toy size, on the CPU."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from checkpoints import list_checkpoints
from cli.bench.gpu import run_suite
from cli.bench.gpu_ledger.results import SuiteResults, plain
from cli.bench.gpu_ledger.suite_request import SuiteRequest
from cli.bench.gpu_references import sizes
from cli.bench.gpu_steps import correctness
from cli.bench.gpu_steps.ways import EAGER, training_ways, ways
from cli.main import cli
from spectra import load_analysis

pytestmark = pytest.mark.card

STEPS = [name for name, _, _ in run_suite.STEPS]


@pytest.fixture(scope="module")
def dry_run(prepared_folder, small_convolutions) -> tuple[Path, SuiteResults]:
    folder = prepared_folder.parent
    said: list[str] = []
    return folder, run_suite.run_suite(SuiteRequest(folder, dry_run=True), say=said.append)


def test_a_dry_run_does_every_step(dry_run):
    _, results = dry_run
    assert results.status == "done", results.reason
    assert {name: step.status for name, step in results.steps.items()} == dict.fromkeys(
        STEPS, "done"
    )


def test_what_a_dry_run_leaves_is_strict_json_with_every_step_in_a_file(dry_run):
    folder, results = dry_run

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    kept = json.loads((folder / "results.json").read_text(), parse_constant=refuse)
    assert kept == plain(results.to_dict()) | {"seconds": kept["seconds"]}
    files = sorted(path.name for path in (folder / "steps").iterdir())
    assert files == [f"{k + 1:02d}-{name}.json" for k, name in enumerate(STEPS)]


def test_a_dry_run_compares_every_way_with_float64(dry_run):
    _, results = dry_run
    for step, names in (
        ("tunings", [way.name for way in ways(on_gpu=False)]),
        ("executions", [way.name for way in training_ways(on_gpu=False)]),
    ):
        items = results.steps[step].items
        assert {key.partition(": ")[0] for key in items} == set(names)
        assert all(item.found["error"] <= correctness.ALLOWED for item in items.values())


def test_a_dry_run_has_products_of_every_way_at_every_size(dry_run):
    _, results = dry_run
    for n, _ in sizes.TOY.products:
        modes = {
            row["mode"] for row in results.steps["products"].items[f"{n} images"].found["rows"]
        }
        assert {"one", *[way.name for way in ways(on_gpu=False) if way is not EAGER]} <= modes


def test_a_dry_run_has_extremes_and_densities_of_every_class(dry_run):
    folder, results = dry_run
    for step in ("extremes", "densities"):
        items = results.steps[step].items
        assert {f"class {c}" for c in range(10)} <= set(items)
    assert all(
        item.found["certificates"][0]["proven"]
        for key, item in results.steps["extremes"].items.items()
        if key.startswith("class")
    )
    record = load_analysis(folder / "densities" / "class-8.json").records[0]
    assert len(record.spectrum.nodes) == sizes.TOY.nodes


def test_a_dry_run_trains_and_analyzes_both_networks_under_each_protocol(dry_run):
    folder, results = dry_run
    for recipe in sizes.TOY.recipes:
        kept = [epoch for epoch, _ in list_checkpoints(folder / "runs" / recipe)]
        assert kept == list(sizes.TOY.keep_epochs)
        items = results.steps["networks"].items
        mine = [key for key in items if key.startswith(f"{recipe}@3")]
        assert len(mine) == 1 + 3 * len(sizes.TOY.analyzed)
        assert len(items[f"{recipe}@3, test images"].found["accuracy"]) == 10
        plain_one = items[f"{recipe}@3, class 8, plain"].found
        assert plain_one["certificates"][0]["beyond"] is not None  # a bound from below


def test_a_dry_run_packs_results_and_all_weights_for_sending(dry_run):
    folder, _ = dry_run
    sent = list((folder / "send").iterdir())
    assert len(sent) <= 8
    assert all(path.stat().st_size <= 16 * 2**20 for path in sent)
    packed = [n for path in sent if path.suffix == ".zip" for n in zipfile.ZipFile(path).namelist()]
    for recipe in sizes.TOY.recipes:
        assert f"runs/{recipe}/resume.safetensors" in packed
        for epoch in sizes.TOY.keep_epochs:
            assert f"runs/{recipe}/checkpoints/epoch-{epoch:04d}.safetensors" in packed


def test_a_repeated_run_takes_everything_from_disk(dry_run):
    folder, results = dry_run
    said: list[str] = []
    again = run_suite.run_suite(SuiteRequest(folder, dry_run=True), say=said.append)
    assert not [line for line in said if ": done" in line]
    assert again.table == results.table
    assert {k: v.items for k, v in again.steps.items()} == {
        k: v.items for k, v in results.steps.items()
    }


def test_the_command_prints_the_short_table_and_where_to_find_what_is_sent(dry_run):
    folder, results = dry_run
    found = CliRunner().invoke(cli, ["bench", "--suite", "gpu", "--dry-run", "-o", str(folder)])
    assert found.exit_code == 0, found.output
    for _, of, _ in results.table:
        assert of.split()[0] in found.output
    assert "results and weights to send" in found.output
