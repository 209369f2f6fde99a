import numpy as np
import pytest
import safetensors.torch
import torch
from foreign_files import arch, prefixed, state

from checkpoints.formats.foreign import load_foreign
from checkpoints.models import Architecture, build_model
from spectra.errors import InputError


@pytest.mark.parametrize("suffix", ["pth", "pt", "th", "pth.tar"])
def test_a_bare_state_dict_keeps_its_weights(save, suffix):
    weights = state()
    loaded = load_foreign(save(weights, f"net.{suffix}")).state
    torch.testing.assert_close(dict(loaded), dict(weights), rtol=0, atol=0)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "net"])
def test_a_state_dict_is_found_under_its_usual_keys(save, key):
    assert arch(save({key: state(), "epoch": 3})).name == "resnet8"


@pytest.mark.parametrize(
    "keys", [("model", "state_dict"), ("state_dict", "model"), ("net", "model", "state_dict")]
)
def test_a_state_dict_is_found_under_keys_inside_keys(save, keys):
    content = state()
    for key in reversed(keys):
        content = {key: content, "step": 7}
    assert arch(save(content)).name == "resnet8"


@pytest.mark.parametrize("header", [None, {"format": "pt"}], ids=["no header", "torch's header"])
def test_safetensors_without_our_metadata_are_read(tmp_path, header):
    path, weights = tmp_path / "net.safetensors", state()
    safetensors.torch.save_file(prefixed(weights), path, header)
    loaded = load_foreign(path)
    assert (loaded.name, loaded.architecture.name) == ("net", "resnet8")
    torch.testing.assert_close(dict(loaded.state), dict(weights), rtol=0, atol=0)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "model.", "backbone.", "net.", "model.module."],
)
def test_prefixes_of_wrappers_are_removed(save, prefix):
    assert set(load_foreign(save(prefixed(state(), prefix))).state) == set(state())


def test_counters_beside_the_weights_are_ignored(save):
    count = torch.zeros(1)
    counters = {"total_ops": count, "total_params": count, "layer1.0.total_ops": count}
    averaged = {"n_averaged": torch.tensor(3), **prefixed({**state(), **counters})}
    assert set(load_foreign(save(averaged)).state) == set(state())


@pytest.mark.parametrize(
    ("key", "average"),
    [("model", "model_ema"), ("state_dict", "state_dict_ema"), ("state_dict", "ema")],
)
def test_weights_left_aside_are_noted(save, key, average):
    weights = state()
    ema = {k: torch.ones_like(v) for k, v in weights.items()}
    loaded = load_foreign(save({average: ema, key: weights}))
    assert torch.equal(loaded.state["linear.weight"], weights["linear.weight"])
    assert f"took the weights under {key}; left aside: {average}" in loaded.notes


@pytest.mark.parametrize("key", ["ema", "model_ema", "state_dict_ema"])
def test_an_average_that_is_alone_is_read_and_noted(save, key):
    loaded = load_foreign(save({key: state(), "epoch": 3}))
    assert loaded.architecture.name == "resnet8"
    assert f"took the weights under {key}, by its name an average" in loaded.notes


def test_the_only_weights_of_a_file_carry_no_note_on_where_they_lay(save):
    notes = load_foreign(save({"model": state(), "optimizer": {"state": {}}})).notes
    assert not any("took the weights" in note for note in notes)


def test_a_zip_file_without_checksums_is_read(save):
    torch.serialization.set_crc32_options(False)
    try:
        path = save(state())
    finally:
        torch.serialization.set_crc32_options(True)
    assert arch(path).name == "resnet8"


def test_the_older_format_without_zip_is_read(save):
    path = save({"state_dict": state()}, _use_new_zipfile_serialization=False)
    assert arch(path).name == "resnet8"


def test_the_network_is_ready_to_run(save):
    model = load_foreign(save({"state_dict": prefixed(state())})).model()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64])
def test_numpy_scalars_beside_the_weights_are_admitted(save, kind, legacy):
    path = save({"state_dict": state(), "rho": kind(3)}, _use_new_zipfile_serialization=not legacy)
    assert arch(path).name == "resnet8"


def test_numpy_scalars_in_the_spelling_of_numpy_1_are_admitted(save):
    content = {"state_dict": state(), "best_acc1": np.float16(75.5)}
    path = save(content, _use_new_zipfile_serialization=False)
    bytes_ = path.read_bytes()
    path.write_bytes(
        bytes_.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        if b"numpy._core" in bytes_
        else bytes_.replace(b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n")
    )
    assert load_foreign(path).metrics == {"best_acc1": 75.5}


def test_half_precision_is_widened(save):
    weights = {k: v.half() if v.is_floating_point() else v for k, v in state().items()}
    loaded = load_foreign(save(weights))
    assert loaded.state["conv1.weight"].dtype == torch.float32
    assert any("stored in float16" in note for note in loaded.notes)


def test_weights_saved_as_parameters_come_back_without_gradients(save):
    path = save(dict(build_model(Architecture("softmax", 10)).named_parameters()))
    assert not any(value.requires_grad for value in load_foreign(path).state.values())


def test_entries_that_are_no_tensors_are_noted(save):
    path = save({"state_dict": {**state(), "_extra_state": "text"}})
    assert "ignored what is no tensor among the weights: _extra_state" in load_foreign(path).notes


def test_sparse_weights_are_refused(save):
    path = save({**state(), "linear.weight": torch.eye(3).to_sparse()})
    with pytest.raises(InputError, match=r"linear.weight should be a dense real tensor"):
        load_foreign(path)
