"""Safetensors files that lie about their tensors, or say of themselves what cannot be."""

import json
import os
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch
from native_files import complete

from checkpoints import load_checkpoint, save_native
from checkpoints.formats.native import load_native, read_metadata
from checkpoints.formats.safetensors_files import read_safetensors
from checkpoints.formats.sealed_headers import SEAL
from spectra.errors import InputError
from spectra.system.files.limits import raised_limits


def refused(read, complaint: str | None = None) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        read()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def file_of(path: Path, header: str, content: bytes = bytes(16), length: int | None = None) -> Path:
    text = header.encode("utf-8", "surrogatepass")
    stated = len(text) if length is None else length
    path.write_bytes(struct.pack("<Q", stated) + text + content)
    return path


def entry(dtype="F32", shape=(4,), start=0, stop=16, **more) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop], **more}


def of(**entries) -> str:
    return json.dumps(entries)


HEADERS = {
    "a shape of 2^60": of(w=entry(shape=(2**60,))),
    "a shape that overflows": of(w=entry(shape=(2**62, 2**62))),
    "a length of 10^400": of(w=entry(shape=(10**400,))),
    "a negative length": of(w=entry(shape=(-4,))),
    "two negative lengths": of(w=entry(shape=(-2, -2))),
    "a length that is no integer": of(w=entry(shape=(4.0,))),
    "truth for a length": of(w=entry(shape=(True, 4))),
    "offsets outside the file": of(w=entry(shape=(2**30,), stop=2**32)),
    "offsets that share bytes": of(w=entry(), v=entry()),
    "offsets with a hole": of(w=entry(shape=(2,), stop=8), v=entry(shape=(1,), start=12)),
    "offsets the wrong way round": of(w=entry(start=16, stop=0)),
    "bytes that belong to nothing": of(w=entry(shape=(3,), stop=12)),
    "no tensors": "{}",
    "one key twice": '{"w": %s, "w": %s}' % ((json.dumps(entry()),) * 2),
    "an unknown type": of(w=entry(dtype="F33")),
    "a type that is no word": of(w=entry(dtype=32)),
    "an entry that is a list": of(w=[1, 2]),
    "an entry that lacks its shape": of(w={"dtype": "F32", "data_offsets": [0, 16]}),
    "metadata that are numbers": of(w=entry(), __metadata__={"a": 1}),
    "metadata that are a list": of(w=entry(), __metadata__=["a"]),
    "a header that is a list": "[]",
    "a header in brackets": "[" * 10**5,
    "a header of objects": '{"a":' * 10**5,
    "a header that is no text": "{\udcff",
    "a header cut short": of(w=entry())[:-3],
    "a key of a megabyte": json.dumps({"w" * 2**20: entry()}),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_lies_is_refused(tmp_path, header):
    path = file_of(tmp_path / "a.safetensors", header)
    refused(lambda: read_safetensors(path), "a.safetensors")
    refused(lambda: load_checkpoint(path), "a.safetensors")


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_another_length_is_refused(tmp_path, length):
    path = file_of(tmp_path / "a.safetensors", of(w=entry()), length=length)
    refused(lambda: read_safetensors(path), "its header should have")


def test_a_header_above_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 2**14) + bytes(2**15))
    with raised_limits(header=2**13):
        refused(lambda: read_safetensors(path), "its header: 16 KiB is more .* --limit header=")


def test_more_tensors_than_the_limit_are_refused(tmp_path):
    entries = {str(k): entry(shape=(0,), stop=0) for k in range(20)}
    path = file_of(tmp_path / "a.safetensors", of(**entries), b"")
    assert len(read_safetensors(path).tensors) == 20
    with raised_limits(tensors=19):
        refused(lambda: read_safetensors(path), "20 is more than the limit of tensors")


@pytest.mark.parametrize("size", [2**40, 2**34 + 1])
def test_a_sparse_file_is_refused(tmp_path, size):
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.truncate(size)
    refused(lambda: load_checkpoint(tmp_path / "a.safetensors"), "--limit checkpoint_file=")


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    refused(lambda: load_native(tmp_path / "a.safetensors"), "got a pipe")
    (tmp_path / "b.safetensors").symlink_to("/dev/zero")
    refused(lambda: load_native(tmp_path / "b.safetensors"), "got a device")


def changed(path: Path, state=(), **metadata) -> Path:
    """Write a file again with other tensors and metadata."""
    tensors = {**load_native(path).state, **dict(state)}
    plain = {**read_metadata(path), **metadata}
    plain.pop(SEAL, None)
    safetensors.torch.save_file(tensors, path, {"spectra": json.dumps(plain)})
    return path


SHAPE = (10, 32)
WEIGHT, VARIANCE = "linear.weight", "bn1.running_var"
TENSORS = {
    "truth values": (WEIGHT, lambda w: w > 0),
    "integers": (WEIGHT, lambda w: w.long()),
    "complex numbers": (WEIGHT, lambda w: w.to(torch.complex64)),
    "NaN": (WEIGHT, lambda w: w * torch.nan),
    "infinity": (WEIGHT, lambda w: w / 0),
    "more than float32 holds": (WEIGHT, lambda w: torch.full_like(w, 1e300, dtype=torch.float64)),
    "half precision that overflowed": (WEIGHT, lambda w: torch.full_like(w, 1e9).half()),
    "no axes": (WEIGHT, lambda w: torch.tensor(1.0)),
    "no numbers": (WEIGHT, lambda w: w[:0].clone()),
    "another shape": (WEIGHT, lambda w: w.T.contiguous()),
    "a negative variance": (VARIANCE, lambda v: v - 9),
}


@pytest.mark.parametrize(("key", "change"), TENSORS.values(), ids=TENSORS)
def test_a_tensor_that_no_network_has_is_refused_by_its_key(tmp_path, key, change):
    save_native(tmp_path / "a.safetensors", complete())
    before = load_native(tmp_path / "a.safetensors").state[key]
    path = changed(tmp_path / "a.safetensors", {key: change(before)})
    refused(lambda: load_checkpoint(path).model(), key.replace(".", r"\."))


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.bfloat16, torch.float16])
def test_a_tensor_of_few_bits_is_widened(tmp_path, kind):
    save_native(tmp_path / "a.safetensors", complete())
    before = load_native(tmp_path / "a.safetensors").state[WEIGHT]
    path = changed(tmp_path / "a.safetensors", {WEIGHT: before.to(kind)})
    found = load_checkpoint(path).model().state_dict()[WEIGHT]
    assert torch.equal(found, before.to(kind).float())


def architecture(**fields) -> dict:
    return {"architecture": {"name": "digits-resnet", "num_classes": 3, "in_channels": 1, **fields}}


METADATA = {
    "forty million classes": architecture(num_classes=4 * 10**7),
    "10^400 classes": architecture(num_classes=10**400),
    "2^60 channels": architecture(in_channels=2**60),
    "images of 10^9 pixels a side": architecture(name="softmax", image_size=10**9),
    "an epoch of 10^400": {"epoch": 10**400},
    "a seed of 10^30": {"seed": 10**30},
    "counts of 10^400": {"class_counts": [10**400, 5, 3]},
    "counts that are truth values": {"class_counts": [True, 5, 3]},
    "a hundred thousand classes of a small network": architecture(num_classes=100_000),
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA)
def test_a_size_in_the_metadata_makes_nothing_of_that_size(tmp_path, metadata):
    save_native(tmp_path / "a.safetensors", complete())
    path = changed(tmp_path / "a.safetensors", **metadata)
    refused(lambda: load_checkpoint(path).model())


PLACES = [
    {"metrics": {"test": 3}},
    {"metrics": {"test": {"overall": "high"}}},
    {"metrics": {"train_loss": [1]}},
    {"metrics": {"train_loss": 10**400}},
    {"normalisation": {"name": "x", "mean": [0.5], "std": ["a"], "scale": 1.0}},
    {"normalisation": {"name": "x", "mean": [0.5], "std": [10**400], "scale": 1.0}},
    {"normalisation": {"name": "x", "mean": [0.5], "std": [0.5], "scale": 0}},
    {"recipe": {"name": "ce", "lr": 10**400}},
    {"recipe": {"name": "ce", "epochs": "many"}},
    {"versions": {"torch": 2}},
    {"notes": ["a", 3]},
    {"data": {"source": 3}},
]


@pytest.mark.parametrize("metadata", PLACES, ids=str)
def test_a_place_of_another_type_inside_a_field_is_refused(tmp_path, metadata):
    save_native(tmp_path / "a.safetensors", complete())
    path = changed(tmp_path / "a.safetensors", **metadata)
    refused(lambda: load_checkpoint(path), next(iter(metadata)))


KINDS = [None, True, 3, -1.5, "text", [], ["a", 1], {}, {"a": 1}, 10**400, [[[]]]]


@pytest.mark.parametrize("field", sorted(json.loads(json.dumps({
    "name": 0, "architecture": 0, "normalisation": 0, "epoch": 0, "recipe": 0, "class_counts": 0,
    "data": 0, "metrics": 0, "seed": 0, "versions": 0, "notes": 0,
}))))  # fmt: skip
def test_a_field_of_any_other_type_is_one_line_or_does_no_harm(tmp_path, field):
    save_native(tmp_path / "a.safetensors", complete())
    content = (tmp_path / "a.safetensors").read_bytes()
    for value in KINDS:
        (tmp_path / "a.safetensors").write_bytes(content)
        path = changed(tmp_path / "a.safetensors", **{field: value})
        try:
            found = load_checkpoint(path)
            found.model()
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert found.test_accuracy is None or isinstance(found.test_accuracy, float)
            assert found.train_loss is None or isinstance(found.train_loss, float | int)
