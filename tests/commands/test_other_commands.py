"""The commands beside ``analyze``, each by one thing that it does."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import invoke, unfolded
from drawn_results import analysis, record_of

from checkpoints import RECIPE_NAMES, load_checkpoint
from cli.display.words import number
from spectra import load_analysis, save_analysis
from spectra.results.said.short_words import near_word


def test_plot_draws_a_stored_result_without_the_checkpoint(analysis_folder, tmp_path):
    result = invoke(
        "plot",
        analysis_folder / "analysis.json",
        "--sigma",
        "0.5",
        "--format",
        "svg",
        "-o",
        tmp_path,
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "density.svg").stat().st_size > 1000


def test_plot_takes_the_folder_of_a_result(analysis_folder, tmp_path):
    result = invoke("plot", analysis_folder, "--format", "svg", "--width", "single", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert 'width="234pt"' in (tmp_path / "density.svg").read_text("utf-8")  # 3.25 inches
    assert (tmp_path / "density.txt").exists()


def test_plot_says_where_results_of_extremes_alone_hold_no_density(run_folder, tmp_path):
    done = invoke("analyze", run_folder, "--classes", 9, "--num-probes", 0, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    result = invoke("plot", tmp_path / "analysis.json")
    assert result.exit_code == 2
    assert "the results hold no density" in result.output


def test_plot_draws_the_folder_of_a_trajectory(tmp_path):
    for epoch in (10, 20):
        found = analysis(record_of(None), epoch=epoch)
        found = replace(found, checkpoint=replace(found.checkpoint, name="mine"))
        (tmp_path / "mine").mkdir(exist_ok=True)
        save_analysis(tmp_path / "mine" / f"epoch-{epoch:04d}.json", found)
    for place, drawn in ((tmp_path, tmp_path / "mine"), (tmp_path / "mine", tmp_path / "mine")):
        result = invoke("plot", place, "--format", "svg")
        assert result.exit_code == 0, result.output
        assert (drawn / "trajectory.svg").stat().st_size > 1000


def test_trajectory_covers_every_kept_epoch(run_folder, tmp_path):
    result = invoke(
        "trajectory", run_folder, "--classes", "9", "--num-probes", 1, "--num-steps", 5,
        "-o", tmp_path, "--json",
    )  # fmt: skip
    points = json.loads(result.stdout)["runs"]["tiny"]
    assert [point["epoch"] for point in points] == [1, 3]


def test_a_ratio_of_a_trajectory_that_has_not_converged_is_marked(run_folder, tmp_path):
    result = invoke(
        "trajectory", run_folder, "--classes", "9", "--max-steps", 2, "--num-probes", 1,
        "--num-steps", 2, "-o", tmp_path,
    )  # fmt: skip
    ratio = load_analysis(tmp_path / "tiny" / "epoch-0003.json").records[0].ratio
    assert f"{number(ratio)}*" in result.stdout
    assert "*, class 9: λmin or λmax has not converged in 2 steps" in unfolded(result.stdout)


def test_a_trajectory_shows_what_its_search_found(run_folder, tmp_path):
    result = invoke(
        "trajectory", run_folder, "--classes", "9", "--num-steps", 2, "--max-steps", 2,
        "--stationary", "--search-products", 1, "--images-per-class", 2, "-o", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    shown = result.stdout.partition("tiny: stationary points near by")[2]
    for epoch in (1, 3):
        found = load_analysis(tmp_path / "tiny" / f"epoch-{epoch:04d}.json").records[0].stationary
        assert [str(epoch), near_word(found.name)] in [line.split() for line in shown.splitlines()]


def test_recipes_lists_every_recipe():
    listed = json.loads(invoke("recipes", "--json").stdout)["recipes"]
    assert [recipe["name"] for recipe in listed] == list(RECIPE_NAMES)


def test_checkpoints_inspect_says_what_is_known(run_folder):
    known = json.loads(invoke("checkpoints", "inspect", run_folder, "--json").stdout)
    assert (known["epoch"], known["parameters"]) == (3, 19130)


def test_checkpoints_import_turns_a_strangers_file_into_ours(run_folder, tmp_path):
    state = {f"module.{k}": v for k, v in load_checkpoint(run_folder).state.items()}
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "theirs.pth.tar")
    target = tmp_path / "ours.safetensors"
    result = invoke("checkpoints", "import", tmp_path / "theirs.pth.tar", "-o", target)
    assert result.exit_code == 0, result.output
    assert load_checkpoint(target).epoch == 7


def test_doctor_passes():
    report = json.loads(invoke("doctor", "--device", "cpu", "--json").stdout)
    assert report["passed"]


def test_data_show_counts_the_tail():
    shown = json.loads(invoke("data", "show", "digits", "--json").stdout)
    assert shown["class_counts"][0] > 10 * shown["class_counts"][-1]


@pytest.mark.parametrize(
    "arguments", [("checkpoints", "inspect", "bundled:digits/ce-drw"), ("data", "show")]
)
def test_what_is_known_is_printed_as_words(arguments):
    shown = unfolded(invoke(*arguments).stdout)
    assert "{" not in shown
    assert "mean 0.3059, std 0.3762, scale 16" in shown


def test_data_show_gives_the_shape_of_the_images():
    assert json.loads(invoke("data", "show", "--json").stdout)["image_shape"] == [1, 8, 8]


def test_training_goes_on_from_a_checkpoint_by_another_recipe(run_folder, tmp_path):
    arguments = ("ce-drw-sam", "--epochs", 4, "--n-max", 40, "--rho", 0.05, "-o", tmp_path)
    result = invoke("train", *arguments, "--from", f"{run_folder}@3")
    assert result.exit_code == 0, result.output
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.epoch == 4
    assert checkpoint.recipe.optimizer == "sam"
    assert checkpoint.notes[0].startswith("trained from digits/ce-drw after epoch 3")


def test_the_installed_command_runs_as_a_process(tmp_path):
    command = Path(sys.executable).with_name("spectra")
    done = subprocess.run(
        [command, "train", "ce", "--epochs", "1", "--n-max", "20", "-o", tmp_path / "run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epoch-0001.safetensors" in done.stdout
