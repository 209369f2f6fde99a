import dataclasses
import json

import pytest
import torch
from tiny_trainings import (
    COUNTS,
    SCALE,
    VARIANTS,
    Killed,
    digests,
    kill_after,
    one_step,
    tiny_job,
    tiny_recipe,
)

from checkpoints.formats.native import load_native, read_metadata
from checkpoints.training.evaluation import evaluate
from checkpoints.training.job import checkpoint_path
from checkpoints.training.resume import host_copies
from checkpoints.training.run import train_job
from spectra import CrossEntropy, InputError
from spectra._version import __version__


def test_copies_on_the_host_are_contiguous_and_share_no_memory():
    tied = torch.arange(6.0).view(2, 3)
    layout = torch.arange(16.0).view(1, 4, 2, 2).contiguous(memory_format=torch.channels_last)
    given = {"a": tied, "n": torch.tensor(3), "b": tied, "t": tied.T, "l": layout}
    given |= {"e": torch.zeros(0, 2), "d": torch.tensor(0.5, dtype=torch.float64)}
    found = host_copies(given)
    assert list(found) == list(given)
    for key, value in given.items():
        assert torch.equal(found[key], value)
        assert found[key].dtype == value.dtype
        assert found[key].is_contiguous()
    places = [t.untyped_storage().data_ptr() for t in found.values() if t.numel()]
    assert len(set(places)) == len(places)
    assert all(t.untyped_storage().nbytes() == t.nbytes for t in found.values())


def test_default_checkpoints_stand_before_and_after_the_switch(tmp_path):
    paths = train_job(tiny_job(tmp_path, tiny_recipe("ce-drw", epochs=10)))
    expected = [checkpoint_path(tmp_path, e) for e in (1, 2, 5, 8, 9, 10)]
    assert paths == expected
    assert sorted((tmp_path / "checkpoints").iterdir()) == expected


def test_the_last_epoch_is_always_kept(tmp_path):
    assert train_job(tiny_job(tmp_path, keep_epochs=())) == [checkpoint_path(tmp_path, 5)]


def test_a_resumption_that_asks_for_an_epoch_already_past_is_refused(tmp_path):
    with pytest.raises(Killed):
        train_job(tiny_job(tmp_path, keep_epochs=()), on_progress=kill_after(3))
    with pytest.raises(InputError, match=r"past epochs \[2\]"):
        train_job(tiny_job(tmp_path, keep_epochs=(2, 4)), resume=True)


def test_checkpoint_zero_holds_the_initial_weights(tmp_path):
    train_job(tiny_job(tmp_path, one_step(), keep_epochs=(0,)))
    state = load_native(checkpoint_path(tmp_path, 0)).state
    assert int(state["bn1.num_batches_tracked"]) == 0


def test_checkpoints_say_everything_about_their_run(tmp_path):
    job = tiny_job(tmp_path, VARIANTS["ldam"], name="study/ldam")
    train_job(job)
    checkpoint = load_native(checkpoint_path(tmp_path, 4))
    known = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    for left_out in ("state", "metrics", "factory", "stated_classes", "origin"):
        del known[left_out]
    assert known == {
        "name": "study/ldam",
        "architecture": job.architecture,
        "normalisation": SCALE,
        "epoch": 4,
        "recipe": job.recipe,
        "class_counts": COUNTS,
        "data": {**job.data.description, "digest": job.data.digest()},
        "seed": 0,
        "versions": {
            "hessian-spectra": __version__,
            "torch": torch.__version__,
        },
        "notes": (),
    }


def test_a_run_is_named_after_data_and_recipe_by_default(tmp_path):
    train_job(tiny_job(tmp_path, one_step()))
    assert read_metadata(checkpoint_path(tmp_path, 1))["name"] == "tiny/ce"


def test_stored_test_metrics_are_those_of_the_stored_weights(tmp_path):
    job = tiny_job(tmp_path, VARIANTS["ldam"])
    train_job(job)
    checkpoint = load_native(checkpoint_path(tmp_path, 5))
    metrics = evaluate(
        checkpoint.model(),
        SCALE(job.data.test.images),
        job.data.test.labels,
        num_classes=3,
        loss=CrossEntropy(30.0),
    )
    assert checkpoint.metrics["test"] == json.loads(json.dumps(dataclasses.asdict(metrics)))


def test_progress_hears_of_every_epoch_in_order(tmp_path):
    heard = []
    train_job(
        tiny_job(tmp_path), on_progress=lambda _, epoch, epochs: heard.append((epoch, epochs))
    )
    assert heard == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_nothing_but_checkpoints_and_the_state_is_left_in_the_folder(tmp_path):
    train_job(tiny_job(tmp_path, keep_epochs=()))
    assert list(digests(tmp_path)) == ["checkpoints/epoch-0005.safetensors", "resume.safetensors"]
