"""Which of a file's weights are those of the network that the user named."""

import argparse

import pytest
import torch
from foreign_files import OWN_NET, outputs, own_weights, prefixed, refused
from torch import nn

from checkpoints.formats.foreign import load_foreign


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "backbone.", "net.", "_orig_mod.", "model.module.", "encoder.net."],
)
def test_what_stands_before_every_key_is_taken_off(folder, prefix):
    torch.save({"state_dict": prefixed(own_weights(), prefix)}, folder / "net.pth")
    loaded = load_foreign(folder / "net.pth", arch="own_net:Net")
    assert torch.equal(loaded.state["head.weight"], own_weights()["head.weight"])
    assert loaded.state["norm.num_batches_tracked"] == 7


def test_what_a_factory_puts_before_every_key_is_added(folder):
    source = "\nclass Held(nn.Module):\n    def __init__(self):\n"
    source += "        super().__init__()\n        self.model = Net()\n"
    (folder / "own_net.py").write_text(OWN_NET + source)
    assert set(load_foreign(folder / "net.pth", arch="own_net:Held").state) == set(
        prefixed(own_weights(), "model.")
    )


def test_wrappers_in_the_midst_of_keys_are_taken_off(folder):
    inner = {key.replace("head.", "head._orig_mod."): value for key, value in own_weights().items()}
    torch.save(prefixed(inner, "module."), folder / "net.pth")
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Net")) == 3


@pytest.mark.parametrize(
    "keys", [(), ("ema",), ("params",), ("checkpoint", "student"), ("a", "b", "c")]
)
def test_weights_are_found_under_any_keys(folder, keys):
    content = own_weights()
    for key in reversed(keys):
        content = {key: content, "step": 7}
    torch.save(content, folder / "net.pth")
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Net")) == 3


def test_dictionaries_inside_dictionaries_are_one_network(folder):
    parts: dict = {}
    for key, value in own_weights().items():
        first, _, rest = key.partition(".")
        parts.setdefault(first, {})[rest] = value
    torch.save(parts, folder / "net.pth")
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Net")) == 3


@pytest.mark.parametrize(
    "extra", ["criterion.weight", "loss_fn.pos_weight", "train_acc.correct", "head.total_ops"]
)
def test_criteria_and_metrics_beside_the_network_are_noted(folder, extra):
    torch.save({**own_weights(), extra: torch.ones(3)}, folder / "net.pth")
    loaded = load_foreign(folder / "net.pth", arch="own_net:Net")
    assert set(loaded.state) == set(own_weights())
    assert extra.endswith("total_ops") or any(extra in note for note in loaded.notes)


def test_what_lies_outside_the_networks_prefix_is_noted(folder):
    content = {**prefixed(own_weights(), "model."), "temperature": torch.ones(1)}
    torch.save({"state_dict": content}, folder / "net.pth")
    notes = load_foreign(folder / "net.pth", arch="own_net:Net").notes
    assert "left aside what own_net:Net does not have: temperature" in notes


def test_weights_that_may_belong_to_the_network_are_not_left_aside(folder):
    torch.save({**own_weights(), "conv2.weight": torch.ones(4, 4)}, folder / "net.pth")
    refused(folder / "net.pth", "own_net:Net", "has no place for 1", "conv2.weight (4, 4)")


def test_missing_weights_are_listed(folder):
    content = {k: v for k, v in own_weights().items() if not k.startswith("head")}
    torch.save(content, folder / "net.pth")
    refused(folder / "net.pth", "own_net:Net", "lacks 2 (head.weight, head.bias)", num_classes=3)


def test_counts_of_batches_are_not_missed(folder):
    content = {k: v for k, v in own_weights().items() if "num_batches" not in k}
    torch.save(content, folder / "net.pth")
    assert outputs(load_foreign(folder / "net.pth", arch="own_net:Net")) == 3


def test_weights_of_another_width_are_told_by_their_shapes(folder):
    torch.save(own_weights(width=6), folder / "net.pth")
    refused(
        folder / "net.pth",
        "own_net:Net",
        "conv.weight is (6, 3, 3, 3) in the file and (4, 3, 3, 3)",
    )


def test_a_network_of_other_keys_is_told_by_both(folder):
    torch.save({"stem.weight": torch.ones(2, 2), "stem.bias": torch.ones(2)}, folder / "net.pth")
    refused(folder / "net.pth", "own_net:Net", "none of the weights", "conv.weight", "stem.weight")


def test_a_network_that_is_there_twice_is_refused(folder):
    twice = {
        **prefixed(own_weights(), "a."),
        **prefixed({k: v + 1 for k, v in own_weights().items()}, "b."),
    }
    torch.save(twice, folder / "net.pth")
    refused(folder / "net.pth", "own_net:Net", "are there twice, under a. and b.")


def test_an_average_beside_the_network_is_left_aside(folder):
    ones = {k: torch.ones_like(v) for k, v in own_weights().items()}
    torch.save({**prefixed(ones, "ema."), **prefixed(own_weights(), "model.")}, folder / "net.pth")
    loaded = load_foreign(folder / "net.pth", arch="own_net:Net")
    assert torch.equal(loaded.state["head.weight"], own_weights()["head.weight"])


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.Linear(4, 3)


@pytest.mark.parametrize("saved", ["first", "second"])
def test_tied_weights_may_be_saved_once(save, saved):
    weight, head = torch.arange(16.0).view(4, 4), nn.Linear(4, 3).state_dict()
    path = save({f"{saved}.weight": weight, **prefixed(head, "head.")})
    model = load_foreign(path, arch=f"{__name__}:Tied").model()
    assert model.first.weight is model.second.weight
    assert torch.equal(model.first.weight, weight)


def test_tied_weights_that_differ_are_refused(save):
    head = nn.Linear(4, 3).state_dict()
    two = {"first.weight": torch.ones(4, 4), "second.weight": torch.zeros(4, 4)}
    refused(save({**two, **prefixed(head, "head.")}), f"{__name__}:Tied", "are one tensor in")


def as_lightning(weights):
    return {
        "pytorch-lightning_version": "2.5.0",
        "global_step": 9,
        "state_dict": {**prefixed(weights, "model."), "val_acc.correct": torch.tensor(3)},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.ones(3)}}}],
        "lr_schedulers": [{"last_epoch": 9}],
        "hyper_parameters": argparse.Namespace(lr=0.1),
        "epoch": 9,
    }


def as_timm(weights):
    ema = {key: torch.zeros_like(value) for key, value in weights.items()}
    arguments = argparse.Namespace(model="net", mean=None)
    return {
        "epoch": 9, "arch": "net", "state_dict": weights, "state_dict_ema": ema,
        "optimizer": {"state": {}}, "args": arguments, "metric": 91.5, "version": 2,
    }  # fmt: skip


def as_torchvision(weights):
    ema = {"n_averaged": torch.tensor(5), **prefixed(weights, "module.")}
    return {
        "model": weights, "model_ema": ema, "optimizer": {}, "lr_scheduler": {"base_lrs": [0.1]},
        "epoch": 9, "args": argparse.Namespace(), "scaler": {"scale": 2.0},
    }  # fmt: skip


def as_kuangliu(weights):
    return {"net": prefixed(weights, "module."), "acc": 93.0, "epoch": 9}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("wrapped", [as_lightning, as_timm, as_torchvision, as_kuangliu])
def test_files_of_well_known_training_code_are_read(folder, wrapped, protocol):
    torch.save(wrapped(own_weights()), folder / "net.pth", pickle_protocol=protocol)
    loaded = load_foreign(folder / "net.pth", arch="own_net:Net")
    assert torch.equal(loaded.state["head.weight"], own_weights()["head.weight"])
    assert loaded.epoch == 9


def test_a_teacher_beside_the_network_is_left_aside(folder):
    other = {k: v + 1 for k, v in own_weights().items()}
    torch.save({"teacher": other, "student": own_weights()}, folder / "net.pth")
    loaded = load_foreign(folder / "net.pth", arch="own_net:Net")
    assert torch.equal(loaded.state["head.weight"], own_weights()["head.weight"])
    torch.save({**own_weights(), **prefixed(other, "momentum_encoder.")}, folder / "net.pth")
    loaded = load_foreign(folder / "net.pth", arch="own_net:Net")
    assert torch.equal(loaded.state["head.weight"], own_weights()["head.weight"])


class Renamed(nn.Module):
    """Reads what an older version of itself called ``out``."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        for kind in ("weight", "bias"):
            if f"{prefix}out.{kind}" in state_dict:
                state_dict[f"{prefix}head.{kind}"] = state_dict.pop(f"{prefix}out.{kind}")
        super()._load_from_state_dict(state_dict, prefix, *rest)


def test_older_keys_that_a_network_reads_itself_are_its_weights(save):
    with torch.random.fork_rng(devices=[]):
        old = {k.replace("head", "out"): v for k, v in Renamed().state_dict().items()}
    loaded = load_foreign(save(prefixed(old, "module.")), arch=f"{__name__}:Renamed")
    assert torch.equal(loaded.state["head.weight"], old["out.weight"])
    del old["out.bias"]
    refused(save(old), f"{__name__}:Renamed", "lacks 2", num_classes=3)
