"""Tensors that are no weights, and files that hold sound ones in hostile numbers."""

import warnings

import pytest
import torch
from foreign_files import own_weights, state

from checkpoints.formats.foreign import load_foreign
from checkpoints.formats.torch_files import read_torch
from spectra.errors import InputError
from spectra.system.files.limits import raised_limits

KEY = "linear.weight"


def refused(path, complaint) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        load_foreign(path).model()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 900


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch gives them up
        return torch.quantize_per_tensor(torch.ones(10, 64), 0.1, 0, torch.qint8)


def nested():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a prototype
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


NO_WEIGHTS = {
    "sparse": lambda w: w.to_sparse(),
    "sparse by rows": lambda w: w.to_sparse_csr(),
    "quantised": lambda w: quantised(),
    "nested": lambda w: nested(),
    "meta": lambda w: w.to("meta"),
    "complex": lambda w: w.to(torch.complex64),
    "truth values": lambda w: w > 0,
    "integers": lambda w: (w * 100).to(torch.int8),
    "NaN": lambda w: w * torch.nan,
    "infinite": lambda w: w / 0,
    "too large": lambda w: torch.full_like(w, 1e300, dtype=torch.float64),
    "no axes": lambda w: torch.tensor(1.0),
    "no numbers": lambda w: w[:, :0],
}


@pytest.mark.parametrize("change", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_tensor_that_is_no_weights_is_refused(save, change, legacy):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that layouts are in beta
        weights = {**state(), KEY: change(state()[KEY])}
        path = save(weights, _use_new_zipfile_serialization=not legacy)
    refused(path, r"linear\.weight|linear inputs|shape|of no architecture")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_tensor_of_few_bits_is_widened(save, kind):
    weights = {k: v.to(kind) if v.is_floating_point() else v for k, v in state().items()}
    found = load_foreign(save(weights)).state[KEY]
    assert torch.equal(found, weights[KEY].float())


def test_an_expanded_tensor_is_what_it_is(save):
    weights = {**state(), "linear.bias": torch.tensor(0.5).expand(10)}
    path = save(weights)
    assert torch.equal(load_foreign(path).state["linear.bias"], torch.full((10,), 0.5))


def test_an_expanded_tensor_above_the_limit_is_refused(save):
    path = save({**state(), KEY: torch.tensor(0.5).expand(2**20, 2**12)})
    refused(path, "its tensors: 16 GiB is more than .* --limit shared_tensors=")


def test_many_tensors_of_one_storage_are_refused(save):
    one = torch.zeros(2**16)
    path = save({f"{k}.weight": one.view(256, -1)[k % 7 :] for k in range(1500)})
    refused(path, "its tensors: .* --limit shared_tensors=")


def test_tied_weights_are_read(save):
    weights = own_weights()
    weights["head.weight"] = weights["conv.weight"][:3, :, 0, 0].contiguous()
    content = {"a.weight": weights["head.weight"], "b.weight": weights["head.weight"]}
    found = read_torch(save(content))
    assert found["a.weight"].data_ptr() == found["b.weight"].data_ptr()


def test_more_tensors_than_the_limit_are_refused(save):
    path = save(state())
    with raised_limits(tensors=5):
        refused(path, "is more than the limit of tensors in a checkpoint, 5")


def test_a_key_longer_than_the_limit_is_refused(save):
    refused(save({**state(), "x" * 2000 + ".weight": torch.zeros(2)}), "characters of a name")


def test_dictionaries_of_one_dictionary_are_looked_through_up_to_the_limit(save):
    content = state()
    for _ in range(4):
        content = {f"part{k}": content for k in range(5)}
    path = save(content)
    with raised_limits(tensors=10_000):
        refused(path, "counted under every key that leads to them: 10,.* --limit tensors=")


def test_many_small_states_are_looked_through_in_no_time(save):
    content = {f"part{k}": {"a.weight": torch.zeros(1)} for k in range(1000)}
    refused(save(content), "weights of no architecture")


@pytest.mark.parametrize(
    "beside",
    [{"epoch": 10**400}, {"epoch": -1}, {"epoch": "last"}, {"best_acc1": 10**400},
     {"best_acc1": torch.tensor(1j)}, {"epoch": torch.tensor([1, 2])}, {"optimizer": 3},
     {"optimizer": {"param_groups": [{"rho": 10**400}]}}],
    ids=str,
)  # fmt: skip
def test_what_is_no_number_beside_the_weights_is_left_aside(save, beside):
    found = load_foreign(save({"state_dict": state(), **beside}))
    assert found.epoch is None
    assert dict(found.metrics) == {}


def test_a_variance_of_0_gives_finite_outputs(save):
    weights = {k: v * 0 if k.endswith("running_var") else v for k, v in state().items()}
    outputs = load_foreign(save(weights)).model()(torch.ones(1, 3, 32, 32))
    assert torch.isfinite(outputs).all()


def test_a_negative_variance_is_refused_by_its_key(save):
    refused(save({**state(), "bn1.running_var": -torch.ones(16)}), r"bn1\.running_var")
