import dataclasses
from pathlib import Path

import pytest
from tiny_trainings import Killed, digests, kill_after, tiny_data, tiny_job, tiny_recipe

from checkpoints import Architecture, TrainingJob
from checkpoints.data import Normalisation
from checkpoints.formats.native import load_native
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job
from spectra import InputError

WITHOUT_MOMENTUM = tiny_recipe("ce-drw", momentum=0.0)


def started_job(folder: Path, whole: Path, epoch: int, **changes) -> TrainingJob:
    start = load_native(checkpoint_path(whole, epoch))
    return tiny_job(folder, WITHOUT_MOMENTUM, start=start, **changes)


@pytest.fixture(scope="module")
def momentum_free(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("momentum-free")
    train_job(tiny_job(folder, WITHOUT_MOMENTUM, keep_epochs=(0, 1, 2, 3, 4, 5)))
    return folder


@pytest.mark.parametrize("epoch", [0, 2, 4])
def test_without_momentum_a_run_goes_on_from_its_own_weights_as_if_it_had_not_stopped(
    tmp_path, momentum_free, epoch
):
    kept = train_job(started_job(tmp_path, momentum_free, epoch))
    last = load_native(checkpoint_path(momentum_free, 5))
    assert load_native(kept[-1]).digest() == last.digest()


def test_a_run_from_weights_says_from_which(tmp_path, momentum_free):
    kept = train_job(started_job(tmp_path, momentum_free, 3))
    assert [path.name for path in kept] == ["epoch-0004.safetensors", "epoch-0005.safetensors"]
    start = load_native(checkpoint_path(momentum_free, 3))
    (note,) = load_native(kept[-1]).notes
    assert note == (
        f"trained from {start.name} after epoch 3 (weights {start.digest()[:12]}), no momentum"
    )


def test_a_killed_run_from_weights_resumes_to_the_same_bytes(tmp_path, momentum_free):
    for name in ("whole", "killed"):
        job = started_job(tmp_path / name, momentum_free, 2)
        if name == "killed":
            with pytest.raises(Killed):
                train_job(job, on_progress=kill_after(4))
        train_job(job, resume=name == "killed")
    assert digests(tmp_path / "whole") == digests(tmp_path / "killed")


def test_a_run_from_other_weights_is_not_resumed(tmp_path, momentum_free):
    train_job(started_job(tmp_path, momentum_free, 2))
    with pytest.raises(InputError, match="another start"):
        train_job(tiny_job(tmp_path, WITHOUT_MOMENTUM), resume=True)


def test_the_state_at_the_switch_is_not_shared_with_a_run_from_weights(tmp_path, momentum_free):
    job = started_job(tmp_path / "a", momentum_free, 2, shared=tmp_path / "common")
    train_job(job)
    assert not (tmp_path / "common").exists()


UNFIT = {
    "epochs": ({"recipe": tiny_recipe(epochs=3)}, "has 3 epochs behind it"),
    "architecture": (
        {"architecture": Architecture("digits-resnet", 3, 1, 4, shortcut="B")},
        "has another architecture than this run: shortcut",
    ),
    "classes": ({"data": tiny_data((9, 5, 4, 2))}, "has 3 classes, this run 4"),
    "normalisation": (
        {
            "data": dataclasses.replace(
                tiny_data(), normalisation=Normalisation("other", (0.1,), (1,))
            )
        },
        "has another normalisation than this run: name custom, here other",
    ),
    "keep": ({"keep_epochs": (1,)}, r"must lie in 3\.\.5, got \[1\]"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_weights_that_do_not_fit_the_run_are_refused_in_one_line(tmp_path, momentum_free, what):
    changes, message = UNFIT[what]
    with pytest.raises(InputError, match=message) as error:
        train_job(dataclasses.replace(started_job(tmp_path, momentum_free, 3), **changes))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
