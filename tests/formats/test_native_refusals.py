import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from checkpoints.formats.native import SCHEMA, load_native, read_metadata
from checkpoints.load import load_checkpoint
from spectra.errors import InputError


def refused(path: Path, message: str | None = None) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_native(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1], ids=lambda n: f"[:{n}]")
def test_a_truncated_file_is_refused(written, length):
    written.write_bytes(written.read_bytes()[:length])
    refused(written)


@pytest.mark.parametrize("content", [b"not a checkpoint", b"\xff" * 64, b"\x00" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    refused(tmp_path / "a.safetensors", "as safetensors")


def test_an_absent_file_is_refused(tmp_path):
    refused(tmp_path / "absent.safetensors", "absent")


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "a.safetensors").mkdir()
    refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize("header", [None, {"format": "pt"}], ids=["no header", "torch's header"])
def test_safetensors_of_others_are_refused_with_the_way_in(tmp_path, header):
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", header)
    refused(tmp_path / "a.safetensors", "without spectra's metadata; .*import")


def rewritten(path: Path, **changes) -> None:
    """Write the file again with other metadata; None removes a field."""
    metadata = {**read_metadata(path), **changes}
    metadata = {key: value for key, value in metadata.items() if value != "absent"}
    state = load_native(path).state
    safetensors.torch.save_file(dict(state), path, {"spectra": json.dumps(metadata)})


def test_a_newer_schema_is_refused_with_the_advice_to_update(written):
    rewritten(written, schema=SCHEMA + 1)
    refused(written, f"has schema {SCHEMA + 1}, .* update hessian-spectra")


LONG = "ce" * 2500


def of_normalisation(**changes) -> dict:
    return {"normalisation": {"name": "x", "mean": [0], "std": [1], "scale": 1, **changes}}


CHANGES = {
    "schema missing": {"schema": "absent"},
    "schema a word": {"schema": "two"},
    "name missing": {"name": "absent"},
    "architecture missing": {"architecture": "absent"},
    "architecture of a later version": {"architecture": {"name": "x", "num_classes": 2, "new": 1}},
    "architecture without classes": {"architecture": {"name": "resnet32"}},
    "recipe without a name": {"recipe": {"lr": 0.1}},
    "recipe with an unknown field": {"recipe": {"name": "ce", "later": 1}},
    "recipe with a bad value": {"recipe": {"name": "ce", "lr": -1}},
    "recipe a word": {"recipe": "ce"},
    "normalisation without mean": {"normalisation": {"name": "x", "std": [1], "scale": 1}},
    "normalisation a word": {"normalisation": "cifar"},
    "normalisation by zero": {"normalisation": {"name": "x", "mean": [0], "std": [0], "scale": 1}},
    "a long name of a normalisation": of_normalisation(name=LONG),
    "a long name of an architecture": {"architecture": {"name": LONG, "num_classes": 3}},
    "class counts a number": {"class_counts": 7},
    "class counts of other classes": {"class_counts": [1, 2]},
    "class counts words": {"class_counts": ["9", "5", "3"]},
    "class counts negative": {"class_counts": [9, 5, -3]},
    "classes a word": {"architecture": {"name": "resnet8", "num_classes": "ten"}},
    "classes negative": {"architecture": {"name": "resnet8", "num_classes": -1}},
    "architecture a number": {"architecture": {"name": 8, "num_classes": 3}},
    "data a number": {"data": 3},
    "data without a source": {"data": {"n_max": 9}},
    "metrics a list": {"metrics": [1]},
    "epoch a word": {"epoch": "last"},
    "seed a word": {"seed": "eleven"},
    "versions a word": {"versions": "new"},
    "notes a word": {"notes": "chosen by hand"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_malformed_metadata_is_refused(written, changes):
    rewritten(written, **changes)
    refused(written)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": "last"}, "epoch: expected an integer, got 'last'"),
        ({"class_counts": [9, 5, "3"]}, r"class_counts\[2\]: expected an integer, got '3'"),
        (CHANGES["classes a word"], "architecture.num_classes: expected an integer, got 'ten'"),
        (CHANGES["architecture of a later version"], "architecture.new is not known .* update"),
        (CHANGES["recipe with an unknown field"], "recipe: unknown recipe field 'later'"),
        (CHANGES["class counts of other classes"], "should be 3 numbers of images"),
        (
            of_normalisation(std=[1e-320]),
            r"normalisation: std\[0\] .* 1e-320",
        ),
        (of_normalisation(scale=1e-310), "normalisation: scale .* 1e-310"),
        (
            of_normalisation(mean=[1e308]),
            r"normalisation: mean\[0\] .* 1e\+308",
        ),
        ({"epoch": -5}, "epoch: expected an integer from 0 to 999999999, got -5"),
        ({"epoch": 10**15}, "epoch: expected an integer from 0"),
        ({"name": LONG}, "name: 5,000 is more than the limit of characters of a name"),
        ({"recipe": {"name": LONG}}, "recipe: name of a recipe: 5,000 is more than the limit"),
    ],
)
def test_the_place_of_a_bad_value_is_named(written, changes, message):
    rewritten(written, **changes)
    refused(written, message)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '"schema"', '{"schema": Infinity}', "[" * 10**5]
)
def test_metadata_that_is_no_json_object_is_refused(tmp_path, text):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"spectra": text})
    refused(path, "as metadata of spectra|metadata is not what spectra writes")


@pytest.mark.parametrize("field", ["epoch", "recipe", "class_counts", "data", "seed"])
def test_a_field_that_the_file_does_not_give_is_none(written, field):
    rewritten(written, **{field: "absent", "sha256": "absent"})
    assert getattr(load_native(written), field) is None


def test_a_checkpoint_under_the_name_of_another_epoch_is_refused(written):
    named = written.rename(written.with_name("epoch-0020.safetensors"))
    refused(named, "epoch: expected 20, as the file is named, got 7; .*epoch-0007.safetensors")


@pytest.mark.parametrize("name", ["epoch-0007", "epoch-7", "best", "epoch-last", "my-epoch-0020"])
def test_a_checkpoint_under_its_own_or_a_free_name_is_read(written, name):
    assert load_native(written.rename(written.with_name(f"{name}.safetensors"))).epoch == 7


def test_weights_that_do_not_fit_are_named_by_their_file(written):
    rewritten(written, architecture={"name": "digits-resnet", "num_classes": 4, "in_channels": 1},
              class_counts="absent", sha256="absent")  # fmt: skip
    with pytest.raises(InputError, match="does not fit digits-resnet") as error:
        load_checkpoint(written).model()
    assert str(error.value).startswith(str(written))
