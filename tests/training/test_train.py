from dataclasses import replace

import pytest
import torch
from tiny_trainings import tiny_data, tiny_recipe

from checkpoints import DataRequest, list_checkpoints, load_checkpoint, train
from checkpoints.recipes.families import get_recipe
from checkpoints.training.job import checkpoint_path, state_path
from checkpoints.training.request import TrainRequest, training_job
from checkpoints.training.run import train_job
from spectra import InputError

SMALL = DataRequest("digits", n_max=20)


def test_the_last_checkpoint_comes_back_and_the_others_lie_in_the_folder(tmp_path):
    last = train("ce", SMALL, output=tmp_path, epochs=3, keep_epochs=(1,))
    assert (last.name, last.epoch) == ("digits/ce", 3)
    assert [epoch for epoch, _ in list_checkpoints(tmp_path)] == [1, 3]
    assert last.digest() == load_checkpoint(tmp_path).digest()


def test_the_bytes_are_those_of_a_request(tmp_path):
    train("ce-drw-sam", SMALL, output=tmp_path / "a", epochs=2, seed=3)
    request = TrainRequest("ce-drw-sam", SMALL, overrides={"epochs": 2}, seed=3)
    train_job(training_job(request, tmp_path / "b"))
    a, b = (checkpoint_path(tmp_path / x, 2).read_bytes() for x in "ab")
    assert a == b


def test_without_an_output_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert train("ce", SMALL, epochs=1).epoch == 1
    assert not list(tmp_path.iterdir())


def test_data_and_recipe_may_be_given_as_they_are():
    found = train(tiny_recipe("vs", epochs=1), tiny_data())
    assert (found.name, found.architecture.num_classes) == ("tiny/vs", 3)


def test_a_recipe_may_be_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "ce"\nepochs = 1\nlr = 0.05\n')
    recipe = get_recipe("ce", "digits").with_overrides({"epochs": 1, "lr": 0.05})
    assert train(path, SMALL).recipe == replace(recipe, name="mine")


def test_training_goes_on_from_a_checkpoint(tmp_path):
    train("ce", SMALL, output=tmp_path, epochs=2, keep_epochs=(1,))
    found = train("ce-drw", SMALL, epochs=3, start=f"{tmp_path}@1")
    assert "trained from digits/ce after epoch 1" in found.notes[0]


def test_a_run_that_was_finished_is_given_back_when_resumed(tmp_path):
    first = train("ce", SMALL, output=tmp_path, epochs=1)
    written = state_path(tmp_path).stat().st_mtime_ns
    again = train("ce", SMALL, output=tmp_path, epochs=1, resume=True)
    assert again.digest() == first.digest()
    assert state_path(tmp_path).stat().st_mtime_ns == written


def test_a_run_is_not_overwritten(tmp_path):
    train("ce", SMALL, output=tmp_path, epochs=1)
    with pytest.raises(InputError, match="holds a run already"):
        train("ce", SMALL, output=tmp_path, epochs=1)


@pytest.mark.parametrize("options", [{"keep_epochs": (1,)}, {"resume": True}])
def test_what_needs_a_folder_is_refused_without_one(options):
    with pytest.raises(InputError, match="give an output"):
        train("ce", SMALL, epochs=2, **options)


def test_progress_says_loss_and_accuracy():
    said = []
    train("ce", SMALL, epochs=2, on_progress=lambda *now: said.append(now))
    assert [(done, planned) for _, done, planned in said] == [(1, 2), (2, 2)]
    assert all(what.startswith("loss ") and ", test accuracy 0." in what for what, *_ in said)


def test_the_global_generator_and_the_number_of_threads_are_left_alone():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train("ce", SMALL, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
