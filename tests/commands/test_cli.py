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

from checkpoints import RECIPE_NAMES, load_checkpoint, load_data, save_native
from cli.display import number, print_table
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
    assert "is not here" in refused("analyze", run_folder, "--device", "cuda:99")
    assert "memory must read" in refused("analyze", run_folder, "--memory", "lots")
    assert "cannot read" in refused("plot", tmp_path / "absent.json")
    assert "cannot read" in refused("pipeline", tmp_path / "absent.toml")
    assert "images-per-class" in refused("analyze", run_folder, "--images-per-class", "0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--radius", "inf"), "radius must be positive and finite, got inf"),
        (("--tau", "nan"), "tau must be positive and finite, got nan"),
        (("--tol", "inf"), "tol must be positive and finite, got inf"),
        (("--max-steps", "0"), "max-steps must be at least 1, got 0"),
        (("--num-steps", "-1"), "num_steps at least 1"),
        (("--images", "fresh", "--certify-below"), "no fixed matrix"),
        (("--images", "frozen:1000000000000"), "up to 10000"),
        (("-o", "a-file"), "cannot write to a-file (Not a directory)"),
        (("-o", "a-file/below"), "cannot write to a-file/below (Not a directory)"),
        (("-o", ""), "expected a folder, got nothing"),
        (("--seed", "-1"), "-1 is not in the range"),
    ],
)
@pytest.mark.parametrize("command", ["analyze", "trajectory", "theorem"])
def test_a_bad_option_is_refused_before_the_checkpoint_is_read(
    command, arguments, said, tmp_path, monkeypatch
):
    def read(*_: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    if not (command == "theorem" and arguments[0] == "-o"):  # its default folder has the name in it
        name = "analyze_trajectory" if command == "trajectory" else "load_checkpoint"
        monkeypatch.setattr(sys.modules[f"cli.commands.{command}"], name, read)
    assert said in refused(command, "bundled:digits/ce-drw", *arguments)


@pytest.mark.parametrize("option", ["--classes", "--groups"])
def test_empty_text_is_not_taken_for_the_default(option, tmp_path):
    refused("analyze", "bundled:digits/ce-drw", option, "", "-o", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ce", "--rho", "1"), "ce does not use ρ; leave it out, or take ce-sam"),
        (("la", "--set", "rho=1"), "la does not use ρ"),
        (("ce", "--set", "momentum=2"), "momentum must lie in [0, 1)"),
        (("ce", "--set", "augment_crop=1000"), "augment_crop must be less than"),
        (("ce", "--set", "epochs=x"), "epochs must be an integer, got 'x'"),
        (("empty.toml",), "empty.toml is empty"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_and_leaves_nothing(
    arguments, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.toml").touch()
    assert said in refused("train", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.toml"]


def test_a_loss_that_is_not_finite_names_the_option_that_exists(tmp_path):
    line = refused("train", "ce", "--set", "lr=1e30", "--epochs", 1, "--n-max", 20, "-o", tmp_path)
    assert "--set lr=" in line


@pytest.mark.parametrize(("command", "code"), [("train", "--resume"), ("pipeline", "same command")])
def test_ctrl_c_says_what_is_kept(command, code, tmp_path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["cli.commands.train"], "run_training", interrupt)
    monkeypatch.setattr(sys.modules["cli.commands.pipeline"], "run_study", interrupt)
    (tmp_path / "study.toml").write_text("[train]\nepochs = 1\n")
    what = {"train": "ce", "pipeline": tmp_path / "study.toml"}[command]
    result = invoke(command, what, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert code in result.stderr


def test_accuracy_of_other_data_is_not_the_checkpoints_record(tmp_path):
    images = np.arange(6 * 64, dtype=np.int64).reshape(6, 1, 8, 8) % 17
    np.savez(tmp_path / "a.npz", images=images.astype(np.uint8), labels=np.arange(6))
    result = invoke(
        "analyze", "bundled:digits/ce-drw", "--classes", "3", "--data", f"npz:{tmp_path}/a.npz",
        "--json", "-o", tmp_path / "out", *SMALL,
    )  # fmt: skip
    assert json.loads(result.stdout)["classes"][0]["accuracy"] is None


def test_accuracy_without_test_images_is_said_to_be_a_record(tmp_path):
    digits = load_data()
    for name, split in (("train", digits.train), ("test", digits.test)):
        np.savez(tmp_path / name, images=split.images.numpy(), labels=split.labels.numpy())
    place, run = f"npz:{tmp_path}/train.npz", tmp_path / "run"
    invoke("train", "ce", "--epochs", 1, "--data", f"{place},{tmp_path}/test.npz", "-o", run)
    result = invoke(
        "analyze", run, "--data", place, "--classes", "9", "-o", tmp_path / "out", *SMALL
    )
    recorded = load_checkpoint(run).metrics["test"]["accuracy"][9]
    kept = load_analysis(tmp_path / "out" / "analysis.json")
    assert kept.records[0].accuracy == recorded
    assert "accuracy on test images, as recorded" in result.stdout


def test_a_narrow_table_folds_between_words_alone(analysis_folder, run_folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    result = invoke("analyze", run_folder, "--classes", "0,9,tail", "-o", analysis_folder, *SMALL)
    shown, note, _ = result.stdout.partition("too narrow for |g·vmin|/‖g‖, loss")
    table = shown.splitlines()
    assert note
    assert max(map(len, table)) <= 70
    words = {word.lstrip("≤≥") for line in table for word in line.split()}
    for record in load_analysis(analysis_folder / "analysis.json").records:
        wanted = {number(record.lambda_min), number(record.lambda_max), number(record.ratio)}
        assert wanted | {"descent", "with", "negative", "curvature"} <= words


def test_a_terminal_too_narrow_for_any_table_gets_a_line_for_each_cell(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "12")
    print_table("numbers", ["first", "second"], [["1.25e-05", "two words"]])
    assert capsys.readouterr().out.split("\n\n")[1] == "first: 1.25e-05\nsecond: two words"


def test_an_end_that_has_not_converged_is_marked(run_folder, tmp_path):
    result = invoke(
        "analyze", run_folder, "--classes", "9", "--num-probes", 1, "--num-steps", 2,
        "--max-steps", 2, "--no-figures", "-o", tmp_path,
    )  # fmt: skip
    record = load_analysis(tmp_path / "analysis.json").records[0]
    assert f"≤{number(record.lambda_min)}" in result.stdout
    assert "not converged in 2 steps" in result.stdout
    assert "1 probe x 2 steps" in result.stdout


def test_a_ratio_of_a_trajectory_that_has_not_converged_is_marked(run_folder, tmp_path):
    result = invoke(
        "trajectory", run_folder, "--classes", "9", "--max-steps", 2, "--num-probes", 1,
        "--num-steps", 2, "-o", tmp_path,
    )  # fmt: skip
    ratio = load_analysis(tmp_path / "tiny" / "epoch-0003.json").records[0].ratio
    assert f"{number(ratio)}*" in result.stdout
    assert "*: λmin or λmax has not converged in 2 steps" in result.stdout


@pytest.mark.parametrize(
    "arguments", [("checkpoints", "inspect", "bundled:digits/ce-drw"), ("data", "show")]
)
def test_what_is_known_is_printed_as_words(arguments):
    shown = invoke(*arguments).stdout
    assert "{" not in shown
    assert "mean 0.3059, std 0.3762, scale 16" in shown


def test_data_show_gives_the_shape_of_the_images():
    assert json.loads(invoke("data", "show", "--json").stdout)["image_shape"] == [1, 8, 8]


def test_an_operating_system_error_says_what_and_where(run_folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "analysis.json")

    monkeypatch.setattr(sys.modules["cli.commands.analyze"], "save_analysis", full)
    line = refused("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    assert line == "Error: No space left on device: analysis.json"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "2 GiB)"),
        (MemoryError(), "out of memory;"),
    ],
    ids=["card", "processor"],
)
def test_the_end_of_memory_is_one_line(run_folder, tmp_path, monkeypatch, error, said):
    def short(*_: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["cli.commands.analyze"], "save_analysis", short)
    line = refused("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    assert line.startswith("Error: out of memory")
    assert said in line


def test_other_runtime_errors_are_ours_to_mend(run_folder, tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(sys.modules["cli.commands.analyze"], "save_analysis", broken)
    result = invoke("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    assert (result.exit_code, type(result.exception)) == (1, RuntimeError)


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
