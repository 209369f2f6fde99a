import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_trainings import VARIANTS, Killed, digests, kill_after, one_step, tiny_job, tiny_recipe

from checkpoints import TrainingJob
from checkpoints.formats.native import load_native
from checkpoints.training import run as training_module
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job
from spectra import InputError


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory) -> dict[str, Path]:
    folders = {}
    for name, recipe in VARIANTS.items():
        folders[name] = tmp_path_factory.mktemp("whole")
        train_job(tiny_job(folders[name], recipe, keep_epochs=(0, 1, 2, 3, 4, 5)))
    return folders


def run(folder: Path, name: str, **options) -> None:
    train_job(tiny_job(folder, VARIANTS[name], keep_epochs=(0, 1, 2, 3, 4, 5)), **options)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_seed_writes_the_same_bytes(tmp_path, whole_runs, name):
    run(tmp_path, name)
    assert digests(tmp_path) == digests(whole_runs[name])


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_killed_after_an_epoch_and_resumed_writes_the_same_bytes(
    tmp_path, whole_runs, name, epoch
):
    with pytest.raises(Killed):
        run(tmp_path, name, on_progress=kill_after(epoch))
    run(tmp_path, name, resume=True)
    assert digests(tmp_path) == digests(whole_runs[name])


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_a_run_killed_before_its_state_is_saved_and_resumed_writes_the_same_bytes(
    tmp_path, whole_runs, monkeypatch, epoch
):
    def dying(path, state, identity):
        if state.epoch == epoch:
            raise Killed
        save(path, state, identity)

    save = training_module.save_state
    monkeypatch.setattr(training_module, "save_state", dying)
    with pytest.raises(Killed):
        run(tmp_path, "sgd-drw")
    monkeypatch.setattr(training_module, "save_state", save)
    run(tmp_path, "sgd-drw", resume=True)
    assert digests(tmp_path) == digests(whole_runs["sgd-drw"])


def test_a_run_resumed_after_every_epoch_writes_the_same_bytes(tmp_path, whole_runs):
    for epoch in (1, 2, 3, 4, 5):
        with pytest.raises(Killed):
            run(tmp_path, "sam", resume=epoch > 1, on_progress=kill_after(epoch))
    assert digests(tmp_path) == digests(whole_runs["sam"])


def test_a_run_of_before_a_recipe_gained_a_field_resumes(tmp_path, whole_runs, monkeypatch):
    def older(path, state, identity):
        recipe = {k: v for k, v in identity["recipe"].items() if k not in ("focal_gamma", "rho")}
        save(path, state, {**identity, "recipe": recipe})

    save = training_module.save_state
    monkeypatch.setattr(training_module, "save_state", older)
    with pytest.raises(Killed):
        run(tmp_path, "sgd-drw", on_progress=kill_after(2))
    monkeypatch.setattr(training_module, "save_state", save)
    run(tmp_path, "sgd-drw", resume=True)
    assert digests(tmp_path) == digests(whole_runs["sgd-drw"])


def test_a_field_unknown_to_an_older_run_and_not_at_its_default_is_refused(tmp_path, monkeypatch):
    def older(path, state, identity):
        recipe = {k: v for k, v in identity["recipe"].items() if k != "vs_tau"}
        save(path, state, {**identity, "recipe": recipe})

    save = training_module.save_state
    monkeypatch.setattr(training_module, "save_state", older)
    with pytest.raises(Killed):
        run(tmp_path, "vs", on_progress=kill_after(2))
    other = tiny_job(tmp_path, VARIANTS["vs"].with_overrides({"vs_tau": 0.5}))
    with pytest.raises(InputError, match=r"another recipe.*vs_tau 1.2, here: 0.5"):
        train_job(other, resume=True)


def shared_job(folder: Path, weighting: str, **changes) -> TrainingJob:
    recipe = VARIANTS["sgd-drw"].with_overrides({"weighting": weighting})
    return tiny_job(folder, recipe, keep_epochs=(), **changes)


def test_runs_that_are_one_until_the_switch_train_it_once_to_the_same_bytes(tmp_path):
    switch, epochs = 4, 5
    for weighting in ("none", "drw"):
        train_job(shared_job(tmp_path / "alone" / weighting, weighting))
    done: dict[str, list[int]] = {"none": [], "drw": []}
    for weighting, counted in done.items():
        job = shared_job(tmp_path / "shared" / weighting, weighting, shared=tmp_path / "common")
        train_job(job, on_progress=lambda _, epoch, epochs, counted=counted: counted.append(epoch))
    assert done == {"none": [1, 2, 3, 4, 5], "drw": list(range(switch + 1, epochs + 1))}
    for weighting in done:
        assert digests(tmp_path / "shared" / weighting) == digests(tmp_path / "alone" / weighting)
    assert digests(tmp_path / "alone" / "none") != digests(tmp_path / "alone" / "drw")


@pytest.mark.parametrize("changed", [{"seed": 1}, {"lr": 0.05}])
def test_a_run_that_differs_before_the_switch_shares_nothing(tmp_path, changed):
    train_job(shared_job(tmp_path / "a", "none", shared=tmp_path / "common"))
    job = shared_job(tmp_path / "b", "drw", shared=tmp_path / "common")
    if "seed" in changed:
        job = dataclasses.replace(job, seed=1)
    else:
        job = dataclasses.replace(job, recipe=job.recipe.with_overrides(changed))
    counted: list[int] = []
    train_job(job, on_progress=lambda _, epoch, epochs: counted.append(epoch))
    assert counted == [1, 2, 3, 4, 5]


def test_a_run_that_keeps_an_epoch_before_the_switch_trains_it(tmp_path):
    train_job(shared_job(tmp_path / "a", "none", shared=tmp_path / "common"))
    job = dataclasses.replace(
        shared_job(tmp_path / "b", "drw", shared=tmp_path / "common"), keep_epochs=(2,)
    )
    assert checkpoint_path(job.folder, 2) in train_job(job)


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    train_job(tiny_job(tmp_path))
    before = digests(tmp_path)
    train_job(tiny_job(tmp_path), resume=True)
    assert digests(tmp_path) == before


def test_resuming_where_there_is_no_run_starts_one(tmp_path, whole_runs):
    run(tmp_path, "vs", resume=True)
    assert digests(tmp_path) == digests(whole_runs["vs"])


def test_another_seed_gives_other_weights(tmp_path, whole_runs):
    train_job(tiny_job(tmp_path, VARIANTS["sgd-drw"], seed=1))
    other = load_native(checkpoint_path(tmp_path, 5)).digest()
    assert other != load_native(checkpoint_path(whole_runs["sgd-drw"], 5)).digest()


def test_another_seed_gives_other_initial_weights(tmp_path):
    for seed in (0, 1):
        train_job(tiny_job(tmp_path / str(seed), one_step(), seed=seed, keep_epochs=(0,)))
    first, second = (load_native(checkpoint_path(tmp_path / s, 0)).digest() for s in "01")
    assert first != second


def test_recipes_that_differ_from_the_switch_on_agree_before_it(tmp_path):
    for name in ("ce", "ce-drw"):
        train_job(tiny_job(tmp_path / name, tiny_recipe(name), keep_epochs=(4,)))
    before = [load_native(checkpoint_path(tmp_path / n, 4)).digest() for n in ("ce", "ce-drw")]
    assert before[0] == before[1]


def test_training_leaves_the_global_generator_alone(tmp_path):
    before = torch.get_rng_state()
    train_job(tiny_job(tmp_path, one_step()))
    assert torch.equal(torch.get_rng_state(), before)


def test_training_does_not_depend_on_the_global_generator(tmp_path):
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            train_job(tiny_job(tmp_path / str(state), one_step()))
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
