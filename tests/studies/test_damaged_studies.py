"""A study of which something was damaged or taken away ends in the same bytes, or says so."""

import shutil
from pathlib import Path

import pytest
from command_line import refused
from tiny_trainings import digests

from checkpoints.studies.pipeline import run_study
from checkpoints.studies.study import load_study
from spectra import InputError

STUDY = """
[data]
source = "digits"
n_max = 20
imbalance_factor = 0.2

[train]
recipes = ["ce"]
epochs = 2
keep_epochs = [1, 2]

[analyze]
classes = "9"
images_per_class = 2
num_probes = 1
num_steps = 3
max_steps = 3
bending = false

[trajectory]
classes = "9"

[figures]
density_classes = ["9"]
"""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def whole(study_file) -> Path:
    folder = study_file.with_name("whole")
    run_study(load_study(study_file), folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "study")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


FILES = {
    "checkpoint": "training/ce-seed0/checkpoints/epoch-0001.safetensors",
    "state": "training/ce-seed0/resume.safetensors",
    "unit": "analyses/ce-seed0/train/units/epoch-0002/9.json",
    "warm unit": "trajectories/ce-seed0/train/units/epoch-0002/9.json",
    "result": "trajectories/ce-seed0/train/epoch-0001.json",
    "results": "results.json",
}


def test_whatever_was_damaged_is_made_again(study_file, copy, whole, caplog):
    for name in FILES.values():
        flipped(copy / name)
    run_study(load_study(study_file), copy)
    assert digests(copy) == digests(whole)
    for said in ("the run is trained anew", "9.json is damaged"):
        assert said in caplog.text


def test_a_checkpoint_of_no_planned_epoch_is_not_taken_into_a_study(study_file, copy, whole):
    folder = copy / "training" / "ce-seed0" / "checkpoints"
    shutil.copy(folder / "epoch-0001.safetensors", folder / "epoch-0007.safetensors")
    run_study(load_study(study_file), copy)
    assert (copy / "results.json").read_bytes() == (whole / "results.json").read_bytes()


@pytest.mark.parametrize("what", FILES)
def test_a_study_does_not_say_that_it_is_done_where_a_file_went_after_it_was_written(
    study_file, copy, whole, what
):
    """The fault comes with the last loss of the study; what is written after it is made anyway."""
    (copy / "trajectories/ce-seed0/train/units/epoch-0002/9.json").unlink()
    fault = []

    def at_the_last_loss(said: str, done: int, planned: int) -> None:
        if "epoch 2 (2 of 2) class 9" in said and not fault:
            fault.append((copy / FILES[what]).unlink(missing_ok=True))

    if what in ("warm unit", "results"):
        run_study(load_study(study_file), copy, on_progress=at_the_last_loss)
    else:
        with pytest.raises(InputError, match=r"leave .* alone and give the same command again"):
            run_study(load_study(study_file), copy, on_progress=at_the_last_loss)
        run_study(load_study(study_file), copy)
    assert digests(copy) == digests(whole)


def test_a_folder_that_goes_while_a_study_runs_is_no_success(study_file, tmp_path):
    folder = tmp_path / "study"

    def at_the_first_loss(said: str, done: int, planned: int) -> None:
        if "class 9" in said:
            shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(InputError, match="was deleted, moved or replaced"):
        run_study(load_study(study_file), folder, on_progress=at_the_first_loss)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ("seeds = [0, 1, 0]", "seeds names 0 twice"),
        ('recipes = ["ce", "vs", "ce"]', "recipes names ce twice"),
        ('recipes = ["own.toml", "./own.toml"]', r"recipes names ./own.toml twice, as own.toml"),
        ('recipes = ["own.toml", "OWN.toml"]', "recipes names OWN.toml twice, as own.toml"),
    ],
)
def test_what_would_be_done_twice_is_refused_when_a_study_is_read(tmp_path, train, said):
    path = tmp_path / "twice.toml"
    path.write_text(f"[train]\n{train}\n")
    with pytest.raises(InputError, match=said):
        load_study(path)


def test_a_split_that_is_named_twice_is_refused(tmp_path):
    path = tmp_path / "twice.toml"
    path.write_text('[analyze]\nsplits = ["train", "train"]\n')
    assert "splits names train twice" in refused("pipeline", path, "-o", tmp_path / "out")


def test_two_recipes_that_call_themselves_the_same_are_refused_before_anything_is_trained(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text('name = "mine"\nbase = "ce"\n')
    path = tmp_path / "study.toml"
    recipes = [str(tmp_path / "a.toml"), str(tmp_path / "b.toml")]
    path.write_text(f"[train]\nepochs = 1\nrecipes = {recipes}\n")
    said = refused("pipeline", path, "-o", tmp_path / "out")
    assert "two recipes are named mine" in said
    assert not (tmp_path / "out").exists()
