import dataclasses
import errno
import json
import os

import pytest
import torch
from native_files import bare, complete, known, weights
from safetensors import safe_open

from checkpoints import Checkpoint, save_native
from checkpoints.formats.native import load_native, read_metadata


@pytest.mark.parametrize("checkpoint", [complete(), bare()], ids=["complete", "bare"])
def test_everything_known_of_a_checkpoint_survives_its_file(tmp_path, checkpoint):
    save_native(tmp_path / "a.safetensors", checkpoint)
    assert known(load_native(tmp_path / "a.safetensors")) == known(checkpoint)


def test_weights_survive_their_file_bit_for_bit(written):
    state, stored = weights(), load_native(written).state
    assert set(stored) == set(state)
    assert all(torch.equal(stored[k], state[k]) for k in state)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64]
)
def test_tensors_keep_their_type(tmp_path, dtype):
    value = torch.arange(6).to(dtype).view(2, 3)
    checkpoint = dataclasses.replace(bare(), state={"x": value})
    save_native(tmp_path / "a.safetensors", checkpoint)
    stored = load_native(tmp_path / "a.safetensors").state["x"]
    assert stored.dtype == dtype
    assert torch.equal(stored, value)


def test_a_transposed_tensor_is_stored_by_its_values(tmp_path):
    value = torch.arange(6.0).view(2, 3).T
    save_native(tmp_path / "a.safetensors", dataclasses.replace(bare(), state={"x": value}))
    assert torch.equal(load_native(tmp_path / "a.safetensors").state["x"], value)


def test_tensors_that_share_memory_are_stored_each_on_its_own(tmp_path):
    shared = torch.arange(4.0)
    checkpoint = dataclasses.replace(bare(), state={"first": shared, "second": shared})
    save_native(tmp_path / "a.safetensors", checkpoint)
    assert torch.equal(load_native(tmp_path / "a.safetensors").state["second"], shared)


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path, written):
    save_native(tmp_path / "b.safetensors", complete())
    assert (tmp_path / "b.safetensors").read_bytes() == written.read_bytes()


def test_metadata_can_be_read_without_our_code(written):
    with safe_open(written, framework="pt") as file:
        metadata = json.loads(file.metadata()["spectra"])
    assert (metadata["schema"], metadata["recipe"]["rho_schedule"]) == (1, [[0.0, 0.1], [0.5, 2.0]])


def test_metadata_holds_every_field_but_the_tensors_and_code(written):
    # What a user typed: the classes, and the file.
    left_out = {"state", "factory", "stated_classes", "origin"}
    fields = {f.name for f in dataclasses.fields(Checkpoint)} - left_out
    assert set(read_metadata(written)) == fields | {"schema", "sha256"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(written, monkeypatch, step):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "no space")

    before = written.read_bytes()
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match=r"a\.safetensors"):
        save_native(written, complete(epoch=8))
    monkeypatch.undo()
    assert [p.name for p in written.parent.iterdir()] == ["a.safetensors"]
    assert written.read_bytes() == before


def test_metadata_that_is_not_json_leaves_the_old_file_and_nothing_else(written):
    before = written.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save_native(written, complete(metrics={"train_loss": float("nan")}))
    assert [p.name for p in written.parent.iterdir()] == ["a.safetensors"]
    assert written.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named_and_not_its_neighbour(tmp_path):
    path = tmp_path / ("a" * 256)
    with pytest.raises(OSError, match=r".") as error:
        save_native(path, bare())
    assert (error.value.filename, error.value.filename2) == (str(path), None)


def test_missing_folders_are_made(tmp_path):
    save_native(tmp_path / "x" / "y" / "a.safetensors", bare())
    assert load_native(tmp_path / "x" / "y" / "a.safetensors").name == "bare"
