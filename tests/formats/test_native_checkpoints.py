import dataclasses
import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from checkpoints import Architecture, Checkpoint, build_model, get_recipe, save_native
from checkpoints.data import Normalisation
from checkpoints.formats.native import SCHEMA, load_native, read_metadata
from checkpoints.models import initialise
from spectra import make_generator
from spectra.errors import InputError

ARCHITECTURE = Architecture("digits-resnet", 3, 1, 8)


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        model = build_model(ARCHITECTURE)
    initialise(model, make_generator(seed, "checkpoint"))
    return model.state_dict()


def complete(**fields) -> Checkpoint:
    known = {
        "name": "digits/ce-drw-sam",
        "state": weights(),
        "architecture": ARCHITECTURE,
        "normalisation": Normalisation("data", (0.1 + 0.2,), (1 / 3,), 16.0),
        "epoch": 7,
        "recipe": get_recipe("ce-drw-sam", "digits").with_overrides({"rho_schedule": "0:.1,.5:2"}),
        "class_counts": (9, 5, 3),
        "data": {"source": "digits", "n_max": 9, "imbalance_factor": 1 / 3, "digest": "ab"},
        "metrics": {"train_loss": 0.1 + 0.2, "test": {"accuracy": [0.5, None, 1.0]}},
        "seed": 11,
        "versions": {"torch": "2.0", "hessian-spectra": "0.1"},
        "notes": ("chosen by hand; ρ from a pilot",),
    }
    return Checkpoint(**{**known, **fields})


def bare() -> Checkpoint:
    return Checkpoint(name="bare", state=weights(), architecture=ARCHITECTURE)


def known(checkpoint: Checkpoint) -> dict:
    """Every field but the tensors."""
    return {
        f.name: getattr(checkpoint, f.name)
        for f in dataclasses.fields(checkpoint)
        if f.name != "state"
    }


@pytest.fixture
def written(tmp_path) -> Path:
    save_native(tmp_path / "a.safetensors", complete())
    return tmp_path / "a.safetensors"


# --- round trip -------------------------------------------------------------------------------


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


def test_metadata_holds_every_field_but_the_tensors(written):
    fields = {f.name for f in dataclasses.fields(Checkpoint)} - {"state"}
    assert set(read_metadata(written)) == fields | {"schema"}


# --- atomic writing ---------------------------------------------------------------------------


class DiskFullError(OSError):
    pass


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(written, monkeypatch, step):
    def fail(*arguments):
        raise DiskFullError

    before = written.read_bytes()
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(DiskFullError):
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


def folder_in_place(tmp_path) -> Path:
    (tmp_path / "a.safetensors").mkdir()
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("place", [folder_in_place, lambda tmp_path: tmp_path / ("a" * 250)])
def test_a_place_that_cannot_be_written_is_named_and_not_its_neighbour(tmp_path, place):
    path = place(tmp_path)
    with pytest.raises(OSError, match=r".") as error:
        save_native(path, bare())
    assert (error.value.filename, error.value.filename2) == (str(path), None)


def test_missing_folders_are_made(tmp_path):
    save_native(tmp_path / "x" / "y" / "a.safetensors", bare())
    assert load_native(tmp_path / "x" / "y" / "a.safetensors").name == "bare"


# --- files that are not ours or not whole -----------------------------------------------------


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
    "text", ["", "{", "[]", "null", "3", '"schema"', '{"schema": Infinity}', "[" * 10**5]
)
def test_metadata_that_is_no_json_object_is_refused(tmp_path, text):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"spectra": text})
    refused(path, "metadata is not what spectra writes")


@pytest.mark.parametrize("field", ["epoch", "recipe", "class_counts", "data", "seed"])
def test_a_field_that_the_file_does_not_give_is_none(written, field):
    rewritten(written, **{field: "absent"})
    assert getattr(load_native(written), field) is None


# --- the network ------------------------------------------------------------------------------


def with_state(**changes) -> Checkpoint:
    state = {**weights(), **changes}
    return complete(state={key: value for key, value in state.items() if value is not None})


def test_the_network_has_the_stored_weights():
    built = complete().model().state_dict()
    assert all(torch.equal(built[key], value) for key, value in weights().items())


def test_the_network_is_in_eval_mode():
    assert not any(m.training for m in complete().model().modules())


def test_the_network_does_not_share_memory_with_the_checkpoint():
    checkpoint = complete()
    with torch.no_grad():
        checkpoint.model().conv1.weight.zero_()
    assert torch.equal(checkpoint.state["conv1.weight"], weights()["conv1.weight"])


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (Architecture("resnet8", 3, 1, 8), "[1-9]\\d* missing"),
        (Architecture("digits-resnet", 3, 1, 8, shortcut="B"), "5 missing"),
        (Architecture("digits-resnet", 3, 1, 8, head="cosine"), "1 unexpected .linear.bias"),
        (
            Architecture("digits-resnet", 4, 1, 8),
            r"linear.bias should have shape \(4,\), got \(3,\)",
        ),
        (Architecture("digits-resnet", 3, 3, 8), r"conv1.weight should have shape \(16, 3, 3, 3\)"),
    ],
    ids=["depth", "shortcut", "head", "classes", "channels"],
)
def test_another_architecture_is_refused_with_the_difference(architecture, message):
    with pytest.raises(InputError, match=message) as error:
        complete(architecture=architecture).model()
    assert "--arch" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_is_refused_by_name():
    with pytest.raises(InputError, match=r"1 missing \(linear\.bias\), 0 unexpected"):
        with_state(**{"linear.bias": None}).model()


def test_an_unexpected_key_is_refused_by_name():
    with pytest.raises(InputError, match=r"0 missing \(\), 1 unexpected \(extra\)"):
        with_state(extra=torch.zeros(1)).model()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("key", ["layer1.0.conv1.weight", "bn1.running_var"])
def test_weights_that_are_not_finite_are_refused(key, value):
    damaged = weights()[key].clone()
    damaged.view(-1)[3] = value
    with pytest.raises(InputError, match=f"NaN or infinity in {key}") as error:
        with_state(**{key: damaged}).model()
    assert "\n" not in str(error.value)


def test_a_negative_variance_is_refused():
    variance = weights()["bn1.running_var"].clone()
    variance[3] = -1e-9
    with pytest.raises(InputError, match=r"negative variance in bn1\.running_var") as error:
        with_state(**{"bn1.running_var": variance}).model()
    assert "\n" not in str(error.value)


def test_files_from_before_batch_norm_counted_its_batches_load():
    state = {k: v for k, v in weights().items() if not k.endswith("num_batches_tracked")}
    built = complete(state=state).model().state_dict()
    assert all(torch.equal(built[key], value) for key, value in state.items())


# --- the digest -------------------------------------------------------------------------------


def test_the_digest_does_not_depend_on_the_order_of_the_keys():
    state = weights()
    backwards = {key: state[key] for key in reversed(state)}
    assert complete(state=backwards).digest() == complete().digest()


def test_the_digest_does_not_depend_on_what_else_is_known():
    assert bare().digest() == complete().digest()


def test_the_digest_survives_the_file(written):
    assert load_native(written).digest() == complete().digest()


def changed_weights() -> dict[str, Checkpoint]:
    bias = weights()["linear.bias"]
    bit = bias.clone()
    bit.view(torch.int32)[0] ^= 1
    return {
        "one bit": with_state(**{"linear.bias": bit}),
        "name": with_state(**{"linear.bias": None, "linear.b": bias}),
        "shape": with_state(**{"linear.bias": bias.view(3, 1)}),
        "type": with_state(**{"linear.bias": bias.view(torch.int32)}),
        "a tensor less": with_state(**{"linear.bias": None}),
    }


@pytest.mark.parametrize("what", changed_weights())
def test_the_digest_changes_with(what):
    assert changed_weights()[what].digest() != complete().digest()
