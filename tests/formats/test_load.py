import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from checkpoints import (
    Architecture,
    Checkpoint,
    LoadOptions,
    build_model,
    list_checkpoints,
    load_checkpoint,
    save_native,
)
from checkpoints.formats.native import is_native
from checkpoints.load import find_checkpoint, notes_of_folder
from checkpoints.models import initialise
from spectra import make_generator
from spectra.errors import InputError


def write(path: Path, epoch: int) -> Path:
    architecture = Architecture("softmax", 3, 1, 4)
    with torch.random.fork_rng(devices=[]):
        model = build_model(architecture)
    initialise(model, make_generator(epoch, "load"))
    save_native(path, Checkpoint("run", model.state_dict(), architecture, epoch=epoch))
    return path


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder with the epochs 2, 10 and 160, written in another order, and its state."""
    folder = tmp_path / "run"
    for epoch in (160, 2, 10):
        write(folder / "checkpoints" / f"epoch-{epoch:04d}.safetensors", epoch)
    (folder / "resume.safetensors").write_bytes(b"the state of a run is no checkpoint")
    return folder


def refused(reference: str | Path, message: str | None = None) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_checkpoint(reference)
    assert "\n" not in str(error.value)


# --- folders and epochs -----------------------------------------------------------------------


def test_a_runs_folder_means_its_last_epoch(run):
    assert load_checkpoint(run).epoch == 160


def test_which_of_the_files_of_others_a_folder_stands_for_is_said(run, tmp_path):
    for epoch in (1, 5, 20):
        torch.save(load_checkpoint(run).state, tmp_path / f"ckpt_{epoch}.pth")
    (said,) = notes_of_folder(tmp_path)
    assert said.startswith(f"of the 3 checkpoints in {tmp_path} the last, epoch 20; {tmp_path}@1")
    assert notes_of_folder(tmp_path / "ckpt_1.pth") == ()
    assert notes_of_folder(run) == (), "of our own runs that is known"


@pytest.mark.parametrize("epoch", [2, 10, 160])
def test_an_epoch_is_named_after_an_at_sign(run, epoch):
    assert load_checkpoint(f"{run}@{epoch}").epoch == epoch


def test_an_epoch_may_be_written_with_zeros(run):
    assert load_checkpoint(f"{run}@0010").epoch == 10


def test_a_file_means_itself(run):
    assert load_checkpoint(run / "checkpoints" / "epoch-0010.safetensors").epoch == 10


def test_the_folder_of_checkpoints_means_its_last_epoch_too(run):
    assert load_checkpoint(run / "checkpoints").epoch == 160


def test_an_epoch_that_was_not_kept_is_refused_with_those_that_were(run):
    refused(f"{run}@3", "no checkpoint of epoch 3; it has 2, 10, 160")


def test_a_file_has_no_other_epochs(run):
    refused(f"{run / 'checkpoints' / 'epoch-0010.safetensors'}@160", "160")


def test_a_folder_whose_name_ends_like_an_epoch_means_itself(run):
    renamed = run.rename(run.parent / "run@2")
    assert load_checkpoint(renamed).epoch == 160


def test_an_epoch_of_a_folder_whose_name_ends_like_an_epoch(run):
    renamed = run.rename(run.parent / "run@7")
    assert load_checkpoint(f"{renamed}@2").epoch == 2


def test_checkpoints_are_listed_in_the_order_of_training(run):
    expected = [(e, run / "checkpoints" / f"epoch-{e:04d}.safetensors") for e in (2, 10, 160)]
    assert list_checkpoints(run) == expected


def test_epochs_are_ordered_as_numbers_beyond_four_digits(run):
    write(run / "checkpoints" / "epoch-10000.safetensors", 10000)
    assert [epoch for epoch, _ in list_checkpoints(run)] == [2, 10, 160, 10000]


def test_files_of_other_names_are_not_listed(run):
    for name in ("epoch-last.safetensors", ".epoch-0003.safetensors.x.tmp", "epoch-0004.pt"):
        (run / "checkpoints" / name).write_bytes(b"")
    assert [epoch for epoch, _ in list_checkpoints(run)] == [2, 10, 160]


def test_checkpoints_of_the_reference_code_are_listed_by_epoch(tmp_path):
    for name in ("160_ckpt.pth.tar", "20_ckpt.pth.tar", "ckpt.pth.tar", "ckpt.best.pth.tar"):
        (tmp_path / name).write_bytes(b"")
    assert list_checkpoints(tmp_path) == [
        (20, tmp_path / "20_ckpt.pth.tar"),
        (160, tmp_path / "160_ckpt.pth.tar"),
    ]


def test_the_reference_codes_latest_file_stands_in_where_there_is_nothing_else(tmp_path):
    (tmp_path / "ckpt.pth.tar").write_bytes(b"")
    assert list_checkpoints(tmp_path) == [(None, tmp_path / "ckpt.pth.tar")]


def test_a_file_is_listed_alone(run):
    file = run / "checkpoints" / "epoch-0010.safetensors"
    assert list_checkpoints(file) == [(None, file)]


def test_an_empty_folder_is_refused(tmp_path):
    refused(tmp_path, "holds no checkpoint; expected epoch-")


def test_a_place_where_nothing_is_is_refused(tmp_path):
    refused(tmp_path / "absent", "no checkpoint at .*absent; expected a file, a run's folder")


def test_the_home_folder_may_be_written_as_a_tilde(run, monkeypatch):
    monkeypatch.setenv("HOME", str(run.parent))
    assert load_checkpoint("~/run@2").epoch == 2


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LoadOptions(), Architecture("softmax", 3, 1, 4)),
        (LoadOptions(arch="resnet8"), Architecture("resnet8", 3, 1, 4)),
        (LoadOptions(num_classes=5), Architecture("softmax", 5, 1, 4)),
        (LoadOptions(head="cosine"), Architecture("softmax", 3, 1, 4, "cosine")),
    ],
    ids=["none", "arch", "num_classes", "head"],
)
def test_given_options_replace_what_our_own_file_says(run, options, expected):
    assert load_checkpoint(run, options).architecture == expected


@pytest.mark.parametrize("value", [0, -7])
def test_a_number_of_classes_that_is_none_is_refused(run, value):
    with pytest.raises(InputError, match=f"num_classes .*integer from 1, got {value}"):
        load_checkpoint(run, LoadOptions(num_classes=value))


# --- the bundled set: see test_bundled_files.py ------------------------------------------------


def test_a_mistaken_place_is_answered_with_what_a_place_may_be():
    refused("digits/ce-drw", "bundled:RUN .'spectra checkpoints list' names them")


@pytest.mark.parametrize("epoch", ["9" * 100, "²"])
def test_an_epoch_that_is_no_number_of_epochs_is_part_of_a_name(run, epoch):
    refused(f"{run}@{epoch}", "no checkpoint at")


# --- what cannot be loaded --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth.tar", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"no weights here"], ids=["empty", "text"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)


def test_safetensors_of_others_are_read_like_any_strangers_file(tmp_path):
    state = build_model(Architecture("softmax", 3, 1, 4)).state_dict()
    safetensors.torch.save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded.architecture == Architecture("softmax", 3, 1, 4)


def test_digests_in_the_metadata_of_others_are_no_damage_of_ours(tmp_path):
    path = tmp_path / "theirs.safetensors"
    said = {"provenance": json.dumps({"data": "x", "sha256": 64 * "a"})}
    safetensors.torch.save_file({"weight": torch.eye(3)}, path, said)
    assert not is_native(path)


def test_the_state_of_a_run_is_refused_with_what_to_name(run):
    header = {"spectra-resume": "{}"}
    safetensors.torch.save_file({"x": torch.zeros(1)}, run / "resume.safetensors", header)
    refused(run / "resume.safetensors", "is the state of a run, no checkpoint; name the run's")


def test_finding_a_checkpoint_does_not_read_it(run):
    file = run / "checkpoints" / "epoch-0160.safetensors"
    file.write_bytes(b"")
    assert find_checkpoint(run) == file


@pytest.mark.parametrize("name", ["", " "])
def test_a_checkpoint_without_a_name_is_refused(name):
    refused(name, "a checkpoint must be named")


@pytest.mark.parametrize("form", ["ckpt_{}.pth", "net-epoch{}-acc0.{}3.pt", "{}.safetensors"])
def test_files_of_others_are_listed_by_the_number_in_their_names(tmp_path, form):
    for epoch in (1, 10, 2):
        (tmp_path / form.format(epoch, epoch)).write_bytes(b"weights")
    (tmp_path / "best.pth").write_bytes(b"weights")
    (tmp_path / "resnet20.ckpt").write_bytes(b"weights")
    wanted = [(epoch, tmp_path / form.format(epoch, epoch)) for epoch in (1, 2, 10)]
    assert list_checkpoints(tmp_path) == wanted


def test_numbered_files_of_several_kinds_are_not_mixed(tmp_path):
    for name in ("a1.pth", "a2.pth", "b1.pth", "b2.pth"):
        (tmp_path / name).write_bytes(b"weights")
    refused(tmp_path, "holds no checkpoint")


def test_two_checkpoints_of_one_epoch_are_refused_by_name(tmp_path):
    for name in ("epoch-3.safetensors", "epoch-0003.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"two checkpoints of epoch 3, epoch-0003.* and epoch-3"):
        list_checkpoints(tmp_path)
