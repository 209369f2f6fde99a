"""What was damaged, taken away or exchanged in a run's folder is found, and can be made again."""

import random
import re
import shutil
from pathlib import Path

import pytest
from tiny_trainings import Killed, digests, kill_after, tiny_data, tiny_job, tiny_recipe

from checkpoints import ImageData, load_checkpoint
from checkpoints.formats.native import load_native
from checkpoints.training.job import checkpoint_path, state_path
from checkpoints.training.resume import load_state
from checkpoints.training.run import train_job
from spectra import InputError

KEPT = (0, 1, 3, 5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing befell."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train_job(tiny_job(folder, keep_epochs=KEPT))
    return folder


@pytest.fixture
def run(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "run")


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def resume(folder: Path, **options) -> list[Path]:
    return train_job(tiny_job(folder, keep_epochs=KEPT), resume=True, **options)


def of_another_recipe(path: Path) -> None:
    other = path.parents[2] / "other"
    train_job(tiny_job(other, tiny_recipe(lr=0.05), keep_epochs=KEPT))
    shutil.copy(checkpoint_path(other, 3), path)


def of_another_epoch(path: Path) -> None:
    shutil.copy(path.with_name("epoch-0001.safetensors"), path)


FAULTS = {
    "weights": lambda path: flip(path, -40),
    "header": lambda path: flip(path, 300),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "another recipe's": of_another_recipe,
    "another epoch's": of_another_epoch,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_that_is_not_what_was_written_is_one_line_that_says_how_to_go_on(run, fault):
    FAULTS[fault](checkpoint_path(run, 3))
    with pytest.raises(InputError, match=r"epoch-0003.* is (damaged|gone); remove .*resume.*") as e:
        resume(run)
    assert "\n" not in str(e.value)


def test_the_way_that_the_line_says_ends_in_the_same_bytes(run, whole):
    flip(checkpoint_path(run, 1), -1)
    with pytest.raises(InputError) as error:
        resume(run)
    Path(re.search(r"remove (\S+)", str(error.value))[1]).unlink()
    resume(run)
    assert digests(run) == digests(whole)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_study_trains_such_a_run_anew_to_the_same_bytes_and_says_so(run, whole, fault, caplog):
    FAULTS[fault](checkpoint_path(run, 3))
    resume(run, repair=True)
    assert digests(run) == digests(whole)
    assert "the run is trained anew" in caplog.text


@pytest.mark.parametrize("fault", ["weights", "header", "cut", "empty"])
def test_a_damaged_state_is_found_and_a_study_trains_anew(run, whole, fault, caplog):
    FAULTS[fault](state_path(run))
    with pytest.raises(InputError, match=r"cannot resume from .*; remove it to start anew"):
        resume(run)
    resume(run, repair=True)
    assert digests(run) == digests(whole)
    assert "the run is trained anew" in caplog.text


def test_a_run_that_is_killed_while_it_is_trained_anew_goes_on_to_the_same_bytes(run, whole):
    flip(checkpoint_path(run, 3), -1)
    with pytest.raises(Killed):
        resume(run, repair=True, on_progress=kill_after(2))
    resume(run, repair=True)
    assert digests(run) == digests(whole)


def test_no_flipped_bit_of_a_checkpoint_is_read_as_if_it_were_right(whole, tmp_path):
    """At 40 places of header and weights; what reads nevertheless reads as the same."""
    path, at = checkpoint_path(whole, 3), random.Random(0)
    content, copy = path.read_bytes(), tmp_path / "epoch-0003.safetensors"
    right = load_native(path)
    header = int.from_bytes(content[:8], "little")
    places = [at.randrange(8 + header) for _ in range(20)]
    places += [at.randrange(8 + header, len(content)) for _ in range(20)]
    for place in places:
        copy.write_bytes(content)
        flip(copy, place, at.randrange(8))
        try:
            found = load_checkpoint(copy)
        except InputError:
            continue
        assert (found.digest(), found.recipe) == (right.digest(), right.recipe)
        assert (found.epoch, found.metrics) == (right.epoch, right.metrics)


def test_no_flipped_bit_of_a_state_is_gone_on_from(whole, tmp_path):
    content, copy, at = state_path(whole).read_bytes(), tmp_path / "state", random.Random(1)
    identity = tiny_job(whole).identity()
    right = load_state(state_path(whole), expected=identity)
    for _ in range(30):
        copy.write_bytes(content)
        flip(copy, at.randrange(len(content)), at.randrange(8))
        try:
            found = load_state(copy, expected=identity)
        except InputError:
            continue
        assert (found.epoch, found.history, found.kept) == (right.epoch, right.history, right.kept)
        assert all(found.tensors[key].equal(value) for key, value in right.tensors.items())


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def without_checkpoints(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")


@pytest.mark.parametrize("fault", [deleted, moved, without_checkpoints])
def test_a_folder_that_goes_while_it_is_trained_into_is_no_success(tmp_path, whole, fault):
    folder = tmp_path / "run"

    def after_two_epochs(_: str, done: int, __: int) -> None:
        if done == 2:
            fault(folder)

    with pytest.raises(InputError, match=r"was deleted, moved or replaced|is gone, since"):
        train_job(tiny_job(folder, keep_epochs=KEPT), on_progress=after_two_epochs)
    resume(folder, repair=True)
    assert digests(folder) == digests(whole)


def test_a_checkpoint_that_is_damaged_after_it_was_written_is_found_at_the_end(tmp_path):
    def after_two_epochs(_: str, done: int, __: int) -> None:
        if done == 2:
            flip(checkpoint_path(tmp_path, 1), -1)

    with pytest.raises(InputError, match=r"epoch-0001.safetensors is damaged, since"):
        train_job(tiny_job(tmp_path, keep_epochs=KEPT), on_progress=after_two_epochs)


def test_a_run_is_not_resumed_on_other_test_images(tmp_path):
    with pytest.raises(Killed):
        train_job(tiny_job(tmp_path), on_progress=kill_after(2))
    data = tiny_data()
    other = ImageData("tiny", data.train, data.train, 3, data.normalisation, data.description)
    with pytest.raises(InputError, match="holds a run with another test_data"):
        train_job(tiny_job(tmp_path, data=other), resume=True)


def test_a_damaged_state_at_the_switch_is_trained_over_by_a_study(tmp_path, caplog):
    def job(name, recipe):
        return tiny_job(
            tmp_path / name, tiny_recipe(recipe), shared=tmp_path / "shared", keep_epochs=()
        )

    train_job(job("ce", "ce"))
    (state,) = (tmp_path / "shared").iterdir()
    right = state.read_bytes()
    flip(state, -1)
    with pytest.raises(InputError, match="remove it to start anew"):
        train_job(job("drw", "ce-drw"))
    train_job(job("drw", "ce-drw"), resume=True, repair=True)
    assert "is damaged and not used" in caplog.text
    assert state.read_bytes() == right
