"""Networks of timm and transformers, by stand-ins of these libraries that only tests know."""

import json
import sys
import types

import pytest
import torch
from foreign_files import outputs, own_weights, refused
from safetensors.torch import save_file
from torch import nn

from checkpoints import load_checkpoint
from checkpoints.data.dataset import Normalisation
from checkpoints.formats.foreign import load_foreign
from spectra.errors import InputError


class Net(nn.Module):
    def __init__(self, num_classes=1000, in_chans=3, width=4):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).mean(dim=(2, 3)))


class PreTrainedModel(nn.Module):
    pass


class NetForImageClassification(PreTrainedModel):
    def __init__(self, config):
        super().__init__()
        self.net = Net(config.num_labels)

    @classmethod
    def from_pretrained(cls, folder, **options):
        assert options["weights_only"]
        assert not options["trust_remote_code"]
        model = cls(types.SimpleNamespace(num_labels=3))
        model.load_state_dict({f"net.{k}": v + 1 for k, v in own_weights().items()})
        return model, {"missing_keys": [], "mismatched_keys": []}


class NetForMaskedLM(PreTrainedModel):
    pass


class AutoConfig:
    @staticmethod
    def from_pretrained(folder, **options):
        assert options["local_files_only"]
        assert not options["trust_remote_code"]
        with open(f"{folder}/config.json") as file:
            return types.SimpleNamespace(**json.load(file))


def create_model(name, *, pretrained, **arguments):
    assert not pretrained
    if name != "small_net":
        raise RuntimeError(f"Unknown model ({name})")
    return Net(**arguments)


@pytest.fixture
def libraries(monkeypatch):
    timm, transformers = types.ModuleType("timm"), types.ModuleType("transformers")
    timm.create_model = create_model
    for kind in (AutoConfig, PreTrainedModel, NetForImageClassification, NetForMaskedLM):
        setattr(transformers, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "transformers", transformers)


@pytest.fixture
def pretrained(tmp_path):
    """A folder as ``save_pretrained`` writes it."""

    def write(weights=None, architectures=("NetForImageClassification",)):
        known = {"architectures": list(architectures), "num_labels": 3}
        (tmp_path / "config.json").write_text(json.dumps(known))
        state = weights or {f"net.{k}": v for k, v in own_weights().items()}
        save_file(state, tmp_path / "model.safetensors")
        return tmp_path

    return write


def test_a_network_of_timm_is_built_for_the_classes_of_the_weights(save, libraries):
    loaded = load_foreign(save({"state_dict": own_weights(7)}), arch="timm:small_net")
    assert (outputs(loaded), loaded.architecture.name) == (7, "timm:small_net")


def test_a_network_of_timm_takes_arguments_and_channels(save, libraries):
    weights = own_weights(width=6)
    weights["conv.weight"] = torch.ones(6, 1, 3, 3)
    loaded = load_foreign(save(weights), arch="timm:small_net(width=6)")
    assert loaded.model()(torch.ones(1, 1, 5, 5)).shape == (1, 3)


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("timm:large_net", ["Unknown model (large_net)"]),
        ("timm:hf-hub:someone/net", ["nothing is downloaded"]),
        ("timm:small_net(pretrained=True)", ["leave out pretrained"]),
        ("timm:small_net(checkpoint_path='x')", ["leave out checkpoint_path"]),
        ("timm:small_net(depth=3)", ["cannot be built", "depth"]),
        ("hf:someone/net", ["expected a folder with config.json", "nothing is downloaded"]),
    ],
)
def test_what_a_library_does_not_build_is_one_line(save, libraries, arch, words):
    refused(save(own_weights()), arch, *words)


@pytest.mark.parametrize(("arch", "library"), [("timm:x", "timm"), ("hf:", "transformers")])
def test_a_library_that_is_absent_is_named(save, pretrained, monkeypatch, arch, library):
    monkeypatch.setitem(sys.modules, library, None)
    arch += str(pretrained()) if arch == "hf:" else ""
    refused(save(own_weights()), arch, f"needs {library}")


def test_a_folder_is_one_checkpoint_and_names_its_network(libraries, pretrained):
    folder = pretrained()
    for arch in (None, f"hf:{folder}"):
        loaded = load_foreign(folder, arch=arch)
        assert (outputs_of_held(loaded), loaded.architecture.num_classes) == (3, 3)
        assert loaded.architecture.name == f"hf:{folder.name}"
    assert load_checkpoint(str(folder)).architecture.num_classes == 3


def outputs_of_held(loaded):
    return loaded.model().net(torch.ones(1, 3, 5, 5)).shape[1]


def test_a_file_beside_a_folder_that_describes_it_is_read(save, libraries, pretrained):
    path = save({f"module.net.{k}": v for k, v in own_weights().items()})
    assert outputs_of_held(load_foreign(path, arch=f"hf:{pretrained()}")) == 3


def test_names_that_the_library_has_changed_since_are_read_by_the_library(libraries, pretrained):
    folder = pretrained({k.replace("conv", "stem"): v for k, v in own_weights().items()})
    state = load_foreign(folder).state
    assert torch.equal(state["net.head.weight"], own_weights()["head.weight"] + 1)


def test_a_folder_of_timm_names_its_network(libraries, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "small_net"}))
    save_file(own_weights(5), tmp_path / "model.safetensors")
    assert outputs(load_foreign(tmp_path)) == 5


@pytest.mark.parametrize(
    ("architectures", "message"),
    [(("NetForMaskedLM",), "no classifier"), (("Strange",), "transformers does not have")],
)
def test_a_folder_of_another_network_is_refused(libraries, pretrained, architectures, message):
    with pytest.raises(InputError, match=message):
        load_foreign(pretrained(architectures=architectures))


def test_a_folder_tells_how_its_images_are_normalised(libraries, pretrained):
    folder = pretrained()
    told = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "rescale_factor": 1 / 255}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    found = load_foreign(folder)
    assert found.normalisation == Normalisation("as published", (0.5, 0.4, 0.3), (0.2,) * 3, 255.0)
    assert not any("does not tell how images were normalised" in note for note in found.notes)
    told["image_std"] = [0.2, 0.0]
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="expected means and positive deviations"):
        load_foreign(folder)


# --- shards ----------------------------------------------------------------------------------


def in_shards(folder, file="model.safetensors", **changed):
    names = sorted(own_weights())
    places = {}
    for number, part in enumerate((names[:4], names[4:]), start=1):
        name = f"model-{number:05d}-of-00002.{file.rpartition('.')[2]}"
        state = {key: own_weights()[key] for key in part}
        if name.endswith("bin"):
            torch.save(state, folder / name)
        else:
            save_file(state, folder / name)
        places |= dict.fromkeys(part, name)
    index = {"weight_map": {**places, **changed}}
    (folder / f"{file}.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_shards_are_read_by_their_index(libraries, tmp_path, file):
    assert outputs(load_foreign(in_shards(tmp_path, file), arch="timm:small_net")) == 3


def test_a_missing_shard_is_named(libraries, tmp_path):
    in_shards(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    refused(tmp_path, "timm:small_net", "lacks model-00002-of-00002.safetensors")


def test_a_shard_outside_of_the_folder_is_not_opened(libraries, tmp_path):
    in_shards(tmp_path, **{"conv.bias": "../elsewhere.safetensors"})
    refused(tmp_path, "timm:small_net", "names ../elsewhere.safetensors")


def test_a_weight_that_no_shard_holds_is_named(libraries, tmp_path):
    in_shards(tmp_path, absent="model-00001-of-00002.safetensors")
    refused(tmp_path, "timm:small_net", "lacks 1 weights", "absent")


def test_an_index_that_is_none_is_refused(libraries, tmp_path):
    for content in ("[1]", "{}", "no json"):
        (tmp_path / "model.safetensors.index.json").write_text(content)
        refused(tmp_path, "timm:small_net")


@pytest.mark.parametrize("name", [[0] * 500, {"a": 1}, 5, None, True, "x" * 256, "λ" * 128])
def test_what_can_be_no_name_of_a_shard_is_refused(libraries, tmp_path, name):
    in_shards(tmp_path, **{"conv.bias": name})
    expected = "no file of its folder" if isinstance(name, str) else "name a file for conv.bias"
    refused(tmp_path, "timm:small_net", expected)
