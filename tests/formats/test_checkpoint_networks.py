import pytest
import torch
from native_files import bare, complete, weights

from checkpoints import Architecture, Checkpoint
from checkpoints.formats.native import load_native
from spectra.errors import InputError


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
