"""How many outputs a user's own network has is measured, not guessed from its weights."""

import sys

import numpy as np
import pytest
import torch

from checkpoints import AnalysisRequest, LoadOptions, analyze, load_checkpoint, save_native
from checkpoints.analysis.data_of import data_for, notes_of, with_data
from spectra import SolverSettings
from spectra.errors import InputError

NETS = """
import torch
from torch import nn

class HeadFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.top = nn.Linear(2, 3)
        self.body = nn.Linear(12, 2)

    def forward(self, x):
        return self.top(self.body(x.flatten(1)).tanh())

class NoBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(12, 2)
        self.top = nn.Linear(2, 3, bias=False)

    forward = HeadFirst.forward

class Unbiased(nn.Module):
    def __init__(self):
        super().__init__()
        self.top = nn.Linear(12, 3, bias=False)

    def forward(self, x):
        return self.top(x.flatten(1))

class Auxiliary(HeadFirst):
    def __init__(self, num_classes=3):
        super().__init__()
        self.aux_head = nn.Linear(2, 7)

    def forward(self, x):
        hidden = self.body(x.flatten(1)).tanh()
        return {"logits": self.top(hidden), "aux": self.aux_head(hidden)}

class One(nn.Module):
    def __init__(self):
        super().__init__()
        self.top = nn.Linear(12, 1)

    def forward(self, x):
        return self.top(x.flatten(1))
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "own_nets_of_a_test.py").write_text(NETS)
    images = np.random.default_rng(0).random((6, 3, 2, 2), dtype=np.float32)
    np.savez(tmp_path / "own.npz", images=images, labels=np.arange(6) % 3)
    yield tmp_path
    sys.modules.pop("own_nets_of_a_test", None)


def loaded(place, name, **options):
    namespace: dict[str, type] = {}
    exec(NETS, namespace)  # the text above
    with torch.random.fork_rng(devices=[]):
        torch.save(namespace[name]().state_dict(), place / "net.pth")
    arch = f"{place / 'own_nets_of_a_test.py'}:{name}"
    return load_checkpoint(place / "net.pth", LoadOptions(arch, **options))


@pytest.mark.parametrize("name", ["HeadFirst", "NoBias", "Unbiased", "Auxiliary"])
def test_the_outputs_are_those_of_a_pass(place, name):
    checkpoint = loaded(place, name)
    data, _ = data_for(checkpoint, f"npz:{place / 'own.npz'}")
    assert data.num_classes == 3
    solver = SolverSettings(num_probes=0, max_steps=4)
    found = analyze(checkpoint, data, AnalysisRequest(classes="all", solver=solver))
    assert [record.label for record in found.records] == ["0", "1", "2"]
    assert found.checkpoint.architecture["num_classes"] == 3


def test_an_imported_network_has_the_outputs_of_a_pass(place):
    checkpoint = with_data(loaded(place, "HeadFirst"), f"npz:{place / 'own.npz'}")
    assert not any("normalised" in text for text in checkpoint.notes)
    save_native(place / "own.safetensors", checkpoint)
    assert load_checkpoint(place / "own.safetensors").architecture.num_classes == 3


def test_a_note_on_normalisation_is_not_of_inputs_as_they_are(place):
    checkpoint = loaded(place, "HeadFirst")
    data, _ = data_for(checkpoint, f"npz:{place / 'own.npz'}")
    assert any("normalised" in text for text in checkpoint.notes)
    assert not any("normalised" in text for text in notes_of(checkpoint, data, None))


def test_stated_classes_are_held_against_a_pass(place):
    with pytest.raises(InputError, match="--num-classes says 5, and net returns 3 outputs"):
        data_for(loaded(place, "HeadFirst", num_classes=5), f"npz:{place / 'own.npz'}")


def test_one_output_asks_for_a_loss_of_its_own(place):
    with pytest.raises(InputError, match=r"net has one output, .* loss=torch\.nn\.BCEWithLogits"):
        data_for(loaded(place, "One"), f"npz:{place / 'own.npz'}")
