"""The command line: what it prints, what it refuses, and with which exit code."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from checkpoints import RECIPE_NAMES, load_checkpoint, save_native
from cli.main import cli
from spectra import load_analysis

SMALL = ["--num-probes", "1", "--num-steps", "8", "--no-figures"]


def invoke(*arguments: object):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def refused(*arguments: object) -> str:
    """Return the one line that a user's mistake prints."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.strip().splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = invoke("train", "ce-drw", "--epochs", 3, "--n-max", 40, "--keep", "1,3", "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def analysis_folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysis")
    result = invoke("analyze", run_folder, "--classes", "0,9,tail", "-o", folder, *SMALL)
    assert result.exit_code == 0, result.output
    return folder


def test_analyze_prints_the_promised_keys_as_json(run_folder, tmp_path):
    result = invoke("analyze", run_folder, "--classes", "9", "--json", "-o", tmp_path, *SMALL)
    rows = json.loads(result.stdout)["classes"]
    wanted = {
        "class", "n", "accuracy", "lambda_min", "lambda_max", "ratio", "grad_norm", "verdict",
    }  # fmt: skip
    assert wanted <= set(rows[0])
    assert rows[0]["class"] == 9


def test_short_work_is_silent_where_stderr_is_no_terminal(run_folder, tmp_path):
    result = invoke("analyze", run_folder, "--classes", "9", "--json", "-o", tmp_path, *SMALL)
    assert result.stderr == ""


def test_the_same_command_and_seed_write_the_same_bytes(run_folder, tmp_path):
    for name in ("a", "b"):
        invoke("analyze", run_folder, "--classes", "0,9", "-o", tmp_path / name, *SMALL)
    first, second = ((tmp_path / n / "analysis.json").read_bytes() for n in ("a", "b"))
    assert first == second


def test_another_seed_gives_other_probes(run_folder, tmp_path):
    for seed in (0, 1):
        place = tmp_path / str(seed)
        invoke("analyze", run_folder, "--classes", "9", "--seed", seed, "-o", place, *SMALL)
    a, b = (load_analysis(tmp_path / s / "analysis.json") for s in "01")
    assert a.records[0].spectrum.nodes[3] != b.records[0].spectrum.nodes[3]


def test_a_class_gets_the_same_numbers_alone_and_among_others(run_folder, tmp_path):
    invoke("analyze", run_folder, "--classes", "9", "-o", tmp_path / "alone", *SMALL)
    invoke("analyze", run_folder, "--classes", "0,head,9", "-o", tmp_path / "among", *SMALL)
    alone = load_analysis(tmp_path / "alone" / "analysis.json").record("9")
    among = load_analysis(tmp_path / "among" / "analysis.json").record("9")
    assert alone.lambda_min == among.lambda_min


def test_epoch_is_chosen_with_an_at_sign(run_folder, tmp_path):
    result = invoke("analyze", f"{run_folder}@1", "--classes", "9", "-o", tmp_path, *SMALL)
    assert "epoch 1" in result.stdout


def test_global_reduction_multiplies_by_the_share_of_the_images(run_folder, tmp_path):
    places = {r: tmp_path / r for r in ("mean", "global")}
    for reduction, place in places.items():
        invoke(
            "analyze", run_folder, "--classes", "0", "--reduction", reduction, "-o", place, *SMALL
        )
    mean, share = (load_analysis(p / "analysis.json").records[0] for p in places.values())
    counts = load_checkpoint(run_folder).class_counts
    assert counts is not None
    # One float64 product apart.
    assert share.lambda_max == pytest.approx(mean.lambda_max * counts[0] / sum(counts), rel=1e-12)


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


def test_trajectory_covers_every_kept_epoch(run_folder, tmp_path):
    result = invoke(
        "trajectory", run_folder, "--classes", "9", "--num-probes", 1, "--num-steps", 5,
        "-o", tmp_path, "--json",
    )  # fmt: skip
    points = json.loads(result.stdout)["runs"]["tiny"]
    assert [point["epoch"] for point in points] == [1, 3]


def test_pyhessian_agrees_on_lambda_max(run_folder, tmp_path):
    rows = {}
    for engine in ("spectra", "pyhessian"):
        result = invoke(
            "analyze", run_folder, "--classes", "0,9", "--engine", engine, "--json",
            "-o", tmp_path / engine, "--no-figures", "--num-steps", 25, "--num-probes", 1,
        )  # fmt: skip
        rows[engine] = json.loads(result.stdout)["classes"]
    for ours, theirs in zip(rows["spectra"], rows["pyhessian"], strict=True):
        # The bar of the comparison; float32 Lanczos of 25 steps is far inside it.
        assert theirs["lambda_max"] == pytest.approx(ours["lambda_max"], rel=0.01)


def test_two_steps_are_enough_for_an_answer(run_folder, tmp_path):
    result = invoke(
        "analyze", run_folder, "--classes", "9", "--num-probes", 1, "--num-steps", 2,
        "--max-steps", 2, "--no-figures", "-o", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert not load_analysis(tmp_path / "analysis.json").records[0].converged


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


def test_a_strangers_file_is_analyzed_with_the_data_named(run_folder, tmp_path):
    torch.save(dict(load_checkpoint(run_folder).state), tmp_path / "bare.pth")
    result = invoke(
        "analyze", tmp_path / "bare.pth", "--data", "digits", "--classes", "9", "-o",
        tmp_path / "out", *SMALL,
    )  # fmt: skip
    assert result.exit_code == 0, result.output


def test_doctor_passes():
    report = json.loads(invoke("doctor", "--device", "cpu", "--json").stdout)
    assert report["passed"]


def test_data_show_counts_the_tail():
    shown = json.loads(invoke("data", "show", "digits", "--json").stdout)
    assert shown["class_counts"][0] > 10 * shown["class_counts"][-1]


def test_a_class_with_one_image_gets_a_verdict(run_folder, tmp_path):
    state = load_checkpoint(run_folder)
    images = np.zeros((11, 1, 8, 8), np.uint8)
    images[:, 0, 2:6, 3] = np.arange(11)[:, None] + 4
    np.savez(tmp_path / "one.npz", images=images, labels=np.array([*range(10), 0]))
    save_native(tmp_path / "c.safetensors", state)
    result = invoke(
        "analyze", tmp_path / "c.safetensors", "--data", f"npz:{tmp_path}/one.npz", "--classes",
        "5", "--json", "-o", tmp_path / "out", *SMALL,
    )  # fmt: skip
    row = json.loads(result.stdout)["classes"][0]
    assert (row["n"], bool(row["verdict"])) == (1, True)


class Payload:
    """A pickle that would make a file if it were executed."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar"])
def test_a_pickle_that_would_run_a_command_is_refused_unexecuted(tmp_path, suffix):
    marker = tmp_path / "executed"
    hostile = tmp_path / f"hostile{suffix}"
    hostile.write_bytes(pickle.dumps({"state_dict": Payload(marker)}))
    refused("analyze", hostile, "--data", "digits")
    assert not marker.exists()


def test_mistakes_are_one_line_and_exit_code_2(run_folder, tmp_path):
    (tmp_path / "empty.pth").touch()
    whole = (run_folder / "checkpoints" / "epoch-0003.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:2000])
    checkpoint = load_checkpoint(run_folder)
    broken = dict(checkpoint.state) | {"linear.bias": torch.full((10,), float("nan"))}
    torch.save(broken, tmp_path / "nan.pth")
    torch.save(dict(checkpoint.state), tmp_path / "bare.pth")
    assert "empty.pth" in refused("analyze", tmp_path / "empty.pth", "--data", "digits")
    assert "cut.safetensors" in refused("analyze", tmp_path / "cut.safetensors")
    assert "NaN" in refused("analyze", tmp_path / "nan.pth", "--data", "digits")
    assert "--data" in refused("analyze", tmp_path / "bare.pth")
    assert "--arch" in refused(
        "analyze", tmp_path / "bare.pth", "--data", "digits", "--arch", "resnet20"
    )
    assert "no checkpoint" in refused("analyze", tmp_path / "absent")
    assert "it has 1, 3" in refused("analyze", f"{run_folder}@2")
    assert "class 12" in refused("analyze", run_folder, "--classes", "12")
    assert "unknown class" in refused("analyze", run_folder, "--classes", "tial")
    assert "unknown recipe" in refused("train", "ce-dwr")
    assert "3 epochs behind it" in refused(
        "train", "ce-drw-sam", "--epochs", 3, "--from", run_folder, "-o", tmp_path / "on"
    )
    assert "unknown recipe field" in refused("train", "ce", "--set", "learning=1")
    assert "--resume" in refused("train", "ce-drw", "-o", run_folder)
    assert "unknown data source" in refused("train", "ce", "--data", "svhn")
    assert "not available" in refused("analyze", run_folder, "--device", "cuda:99")
    assert "memory must read" in refused("analyze", run_folder, "--memory", "lots")
    assert "cannot read" in refused("plot", tmp_path / "absent.json")
    assert "cannot read" in refused("pipeline", tmp_path / "absent.toml")
    assert "images per class" in refused("analyze", run_folder, "--images-per-class", "0")


def test_training_goes_on_from_a_checkpoint_by_another_recipe(run_folder, tmp_path):
    arguments = ("ce-drw-sam", "--epochs", 4, "--n-max", 40, "--rho", 0.05, "-o", tmp_path)
    result = invoke("train", *arguments, "--from", f"{run_folder}@3")
    assert result.exit_code == 0, result.output
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.epoch == 4
    assert checkpoint.recipe.optimizer == "sam"
    assert checkpoint.notes[0].startswith("trained from digits/ce-drw after epoch 3")


def test_a_log_gets_lines_of_progress_and_standard_output_none(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.display.LOG_EVERY", 0.0)
    result = invoke("train", "ce", "--epochs", 2, "--n-max", 20, "--json", "-o", tmp_path)
    assert [line.rpartition(" ")[2] for line in result.stderr.splitlines()] == ["1/2", "2/2"]
    json.loads(result.stdout)


def test_a_class_without_images_is_named(run_folder, tmp_path):
    images = np.zeros((10, 1, 8, 8), np.uint8)
    np.savez(tmp_path / "nine.npz", images=images, labels=np.array([*range(9), 0]))
    line = refused("analyze", run_folder, "--data", f"npz:{tmp_path}/nine.npz", "--classes", "9")
    assert "class 9 has no images" in line


def test_the_installed_command_runs_as_a_process(tmp_path):
    command = Path(sys.executable).with_name("spectra")
    done = subprocess.run(
        [command, "train", "ce", "--epochs", "1", "--n-max", "20", "-o", tmp_path / "run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epoch-0001.safetensors" in done.stdout
