"""What a user can mend is one line and exit code 2, before any work is done."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import refused

from checkpoints import load_checkpoint


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
        (("--max-steps", "0"), "max_steps must be in 1..1,000,000, got 0"),
        (("--num-steps", "-1"), "num_steps must be in 1..1,000,000, got -1"),
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
        monkeypatch.setattr("checkpoints.analysis.trajectory.analyze_trajectory", read)
        monkeypatch.setattr("checkpoints.load_checkpoint", read)
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


def test_a_class_without_images_is_named(run_folder, tmp_path):
    images = np.zeros((10, 1, 8, 8), np.uint8)
    np.savez(tmp_path / "nine.npz", images=images, labels=np.array([*range(9), 0]))
    line = refused("analyze", run_folder, "--data", f"npz:{tmp_path}/nine.npz", "--classes", "9")
    assert "class 9 has no images" in line
