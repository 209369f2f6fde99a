"""How a run of the suite for GPUs ends: wrong, out of time, or not begun."""

import dataclasses
import json
import subprocess
import sys
import textwrap

import pytest
import torch
from click.testing import CliRunner

from cli.bench.gpu import run_suite
from cli.bench.gpu_ledger.suite_request import SuiteRequest, parse_recipes
from cli.bench.gpu_references import sizes
from cli.bench.gpu_references.prepared_folder import read_prepared
from cli.main import cli

pytestmark = pytest.mark.card


def test_the_command_hands_prepare_its_source_and_checkpoint(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "cli.bench.gpu_references.make_references.prepare",
        lambda folder, **rest: asked.update(rest, folder=folder),
    )
    found = CliRunner().invoke(
        cli,
        [
            "bench",
            "mine",
            "--suite",
            "gpu",
            "--prepare",
            "--data",
            "npz:a.npz",
            "-o",
            str(tmp_path),
        ],
    )
    assert found.exit_code == 0, found.output
    assert (asked["folder"], asked["source"], asked["checkpoint"]) == (
        tmp_path, "npz:a.npz", "mine"
    )  # fmt: skip


def test_options_of_the_suite_without_it_are_refused():
    found = CliRunner().invoke(cli, ["bench", "--dry-run"])
    assert found.exit_code == 2
    assert "go with --suite gpu" in found.output


def test_a_run_that_is_wrong_ends_there_with_exit_code_1(prepared_folder, tmp_path, monkeypatch):
    found = read_prepared(prepared_folder, sizes.TOY)
    # A reference that is off by 1 % stands in for products that are.
    name = next(iter(found.products))
    other = dataclasses.replace(
        found, products={**found.products, name: 1.01 * found.products[name]}
    )
    monkeypatch.setattr(run_suite, "read_prepared", lambda folder, sizes: other)
    monkeypatch.setattr(run_suite, "STEPS", [s for s in run_suite.STEPS if s[0] != "card"])
    arguments = ["bench", "--suite", "gpu", "--dry-run", "-o", str(tmp_path)]
    result = CliRunner().invoke(cli, [*arguments, "--prepared", str(prepared_folder)])
    assert result.exit_code == 1, result.output
    assert f"not right: {name}" in result.output
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["status"] == "aborted"
    assert list(kept["steps"]) == ["correctness"]


def test_no_time_at_all_is_said_and_nothing_else_is_done(prepared_folder, tmp_path):
    found = run_suite.run_suite(
        SuiteRequest(tmp_path, prepared_folder, seconds=1e-6, dry_run=True), say=lambda line: None
    )
    assert found.status == "stopped"
    statuses = {item.status for s in found.steps.values() for item in s.items.values()}
    assert statuses <= {"skipped", "not here"}


def test_a_run_without_trainings_gives_their_seconds_to_the_others(prepared_folder, tmp_path):
    asked = {"prepared": prepared_folder, "seconds": 1e-6, "dry_run": True}
    shares = {}
    for name, recipes in (("with", None), ("without", ())):
        request = SuiteRequest(tmp_path / name, recipes=recipes, **asked)
        found = run_suite.run_suite(request, say=lambda line: None)
        shares[name] = list(found.steps)
    assert [s for s in shares["with"] if s not in shares["without"]] == ["trainings", "networks"]
    assert run_suite.step_ends(())["densities"] == 1.0
    assert run_suite.step_ends(())["products"] > 2 * run_suite.step_ends(("ce-drw",))["products"]


def test_a_recipe_without_references_is_refused_in_one_line(tmp_path):
    found = CliRunner().invoke(
        cli, ["bench", "--suite", "gpu", "--dry-run", "--recipes", "ce", "-o", str(tmp_path)]
    )
    assert found.exit_code == 2
    assert "recipes of the suite are ce-drw-sam, ce-drw, got ce; or none" in found.output


def test_recipes_are_names_joined_by_commas_or_none():
    assert parse_recipes("ce-drw-sam, ce-drw") == ("ce-drw-sam", "ce-drw")
    assert parse_recipes("none") == ()
    assert parse_recipes(None) is None


def test_a_dry_run_has_one_thread_and_puts_the_setting_back(tmp_path, monkeypatch):
    """With two on a busy machine it took ten minutes in place of one and a half."""
    seen = []
    monkeypatch.setattr(run_suite, "_run", lambda asked, say: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_suite.run_suite(SuiteRequest(tmp_path, dry_run=True))
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_the_suite_without_a_gpu_says_what_to_do_instead(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = CliRunner().invoke(cli, ["bench", "--suite", "gpu", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "--dry-run" in result.output


def test_the_suite_runs_without_the_command_lines_libraries(tmp_path):
    """The machine with the GPU may have torch, numpy, scipy and safetensors alone."""
    script = f"""
        import sys
        absent = {{"rich", "matplotlib", "sklearn", "click", "pyhessian", "curvlinops",
                   "hessian_eigenthings", "PIL"}}
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in absent:
                    raise ModuleNotFoundError(name, name=name)
        sys.meta_path.insert(0, Absent())
        from cli.bench.gpu.__main__ import main
        sys.exit(main(["-o", {str(tmp_path)!r}, "--device", "cpu"]))
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert found.returncode == 2, found.stderr
    assert "the suite is for GPUs" in found.stderr
