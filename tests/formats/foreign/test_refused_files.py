import argparse
import collections
import contextlib
import functools
import os
import pickle
import warnings
import zipfile

import pytest
import torch
from foreign_files import state

from checkpoints.formats.foreign import load_foreign
from checkpoints.models import Architecture, build_model
from spectra.errors import InputError


class Command:
    """A pickle that creates a file when it is loaded without care."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.fixture(
    params=[(kind, n) for kind in ("zip", "legacy", "plain pickle") for n in (2, 3, 4, 5)],
    ids=lambda param: f"{param[0]}, protocol {param[1]}",
)
def hostile(request, save, tmp_path):
    kind, protocol = request.param
    content = {"state_dict": state(), "epoch": Command(tmp_path / "executed")}
    if kind == "plain pickle":
        path = tmp_path / "net.pth"
        path.write_bytes(pickle.dumps(Command(tmp_path / "executed"), protocol=protocol))
        return path
    return save(content, _use_new_zipfile_serialization=kind == "zip", pickle_protocol=protocol)


def test_a_command_in_a_pickle_is_not_executed(hostile, tmp_path):
    with pytest.raises(InputError):
        load_foreign(hostile)
    assert not (tmp_path / "executed").exists()


def test_the_hostile_file_would_have_executed_its_command(hostile, tmp_path):
    # A plain pickle is no file of torch's, but its command has run when torch notices.
    with contextlib.suppress(Exception):
        torch.load(hostile, weights_only=False)
    assert (tmp_path / "executed").exists()


def one_line(path, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        load_foreign(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_what_a_hostile_pickle_asks_for_is_named(hostile):
    one_line(hostile, r"asks for (posix|nt)\.system, and only tensors")


def test_a_pickled_network_is_refused_with_what_to_do(save):
    told = r"whole pickled network \(checkpoints.*SoftmaxRegression\).*save model\.state_dict\(\)"
    for protocol in (2, 4):
        network = build_model(Architecture("softmax", 10))
        one_line(save(network, pickle_protocol=protocol), told)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(save, legacy, kept):
    path = save(state(), _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    one_line(path, "it was cut short")


def test_weights_that_do_not_match_their_checksum_are_refused(save):
    path = save(state())
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    middle = part.header_offset + part.file_size // 2
    content[middle : middle + 200] = bytes(b ^ 1 for b in content[middle : middle + 200])
    path.write_bytes(content)
    one_line(path, f"is damaged: {part.filename} does not match its checksum; download")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "net.pth").touch()
    one_line(tmp_path / "net.pth", "is empty")


@pytest.mark.parametrize("content", [b"<html>sign in</html>", b"\x00" * 99, b"PK\x03\x04junk"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "net.pth").write_bytes(content)
    one_line(tmp_path / "net.pth", "no readable checkpoint|not end as a zip archive")


def test_a_folder_is_refused(tmp_path):
    one_line(tmp_path, "got the folder")


def test_a_plain_pickle_of_a_state_dict_is_refused_with_what_to_do(tmp_path):
    for protocol in (2, 4):
        (tmp_path / "net.pth").write_bytes(pickle.dumps(state(), protocol=protocol))
        one_line(tmp_path / "net.pth", "was written by pickle, not by torch.save")


def test_a_pickle_of_something_else_is_refused(tmp_path):
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"a": 1}, protocol=4))
    one_line(tmp_path / "net.pth", "no readable checkpoint")


def test_a_torchscript_archive_is_refused(tmp_path):
    archive = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against TorchScript
        torch.jit.script(torch.nn.Linear(2, 2)).save(archive)
    one_line(archive, "TorchScript archive")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><title>sign in</title>", "is a web page"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
    ],
)
def test_what_stands_in_place_of_a_checkpoint_is_named(tmp_path, content, complaint, suffix):
    (tmp_path / f"net.{suffix}").write_bytes(content)
    one_line(tmp_path / f"net.{suffix}", complaint)


def test_an_absent_file_is_refused(tmp_path):
    one_line(tmp_path / "none.pth", "No such file")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([1, 2], "should hold a state dict, got list"),
        (torch.zeros(3), "should hold a state dict, got Tensor"),
        ({"epoch": 3, "loss": 0.5}, "should hold weights.*got epoch, loss"),
        (collections.OrderedDict(), "should hold weights.*got nothing"),
        ({"state_dict": None, "epoch": 3}, "should hold weights.*got epoch, state_dict = None"),
        ({"model": {"state_dict": None}}, "should hold weights.*got state_dict = None"),
    ],
)
def test_a_file_without_weights_is_refused(save, content, complaint):
    one_line(save(content), complaint)


def test_a_file_that_holds_itself_is_refused(save):
    content = {}
    content["model"] = content
    one_line(save(content), "an object holds itself")


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        (argparse.Namespace(act=torch.nn.ReLU), r"torch\.nn\.modules\.activation\.ReLU"),
        (functools.partial(torch.nn.Linear, 3), r"functools\.partial"),
        (torch.tanh, r"builtins\.getattr"),
        (eval, r"builtins\.eval"),
    ],
    ids=["class", "partial", "function of torch", "builtin"],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_beside_the_weights_is_named(tmp_path, beside, name, protocol):
    file = tmp_path / "net.pth"
    torch.save({"state_dict": {}, "x": beside}, file, pickle_protocol=protocol)
    one_line(file, rf"asks for {name}, and only tensors and plain values")
