"""The callbacks, by small stand-ins of the two libraries: what they call, and with what."""

import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from image_data import IMAGES, LABELS
from torch import nn

from spectra import ClassSpectra

MODULES = {
    "spectra.classes.lightning": ("lightning.pytorch", "Callback"),
    "spectra.classes.huggingface": ("transformers", "TrainerCallback"),
}


@pytest.fixture
def load(monkeypatch):
    """Import one of the modules over a stand-in of its library, or without any."""

    def load(name: str, *, library: str | None = None):
        for other in ("lightning", "lightning.pytorch", "pytorch_lightning", "transformers"):
            monkeypatch.setitem(sys.modules, other, None)  # as if it were not installed
        if library is not None:
            stand_in = ModuleType(library)
            base = MODULES[name][1]
            setattr(stand_in, base, type(base, (), {}))
            if library == "lightning.pytorch":
                monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
            monkeypatch.setitem(sys.modules, library, stand_in)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    yield load
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def recorder():
    return ClassSpectra((IMAGES, LABELS), every=2, classes=0, num_steps=4)


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(4, 3))


def epochs(recorder):
    return [analysis.checkpoint.epoch for analysis in recorder.analyses]


@pytest.mark.parametrize("library", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_counts_epochs_that_are_done(load, recorder, model, library):
    callback = load("spectra.classes.lightning", library=library).LightningCallback(recorder)
    for epoch in range(4):  # Lightning's first epoch is 0
        trainer = SimpleNamespace(current_epoch=epoch, is_global_zero=True)
        callback.on_train_epoch_end(trainer, model)
    assert epochs(recorder) == [2, 4]
    assert isinstance(callback, sys.modules[library].Callback)


def test_one_process_of_lightning_records(load, recorder, model):
    module = load("spectra.classes.lightning", library="lightning.pytorch")
    trainer = SimpleNamespace(current_epoch=1, is_global_zero=False)
    module.LightningCallback(recorder).on_train_epoch_end(trainer, model)
    assert epochs(recorder) == []


def test_a_trainer_of_huggingface_counts_epochs_as_fractions(load, recorder, model):
    module = load("spectra.classes.huggingface", library="transformers")
    callback = module.HuggingFaceCallback(recorder)
    for epoch in (0.9999, 2.0001, 3.0):
        state = SimpleNamespace(epoch=epoch, is_world_process_zero=True)
        callback.on_epoch_end(None, state, None, model=model, optimizer=None)
    assert epochs(recorder) == [2]
    assert isinstance(callback, sys.modules["transformers"].TrainerCallback)


def test_one_process_of_huggingface_records(load, recorder, model):
    module = load("spectra.classes.huggingface", library="transformers")
    state = SimpleNamespace(epoch=2.0, is_world_process_zero=False)
    module.HuggingFaceCallback(recorder).on_epoch_end(None, state, None, model=model)
    assert epochs(recorder) == []


def test_outputs_of_a_huggingface_model_are_its_logits(load, model):
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, pixel_values):
            return SimpleNamespace(logits=self.inner(pixel_values))

    module = load("spectra.classes.huggingface", library="transformers")
    assert torch.equal(module.logits(Classifier(), IMAGES), model(IMAGES))
    recorder = ClassSpectra(
        (IMAGES, LABELS), every=1, classes=0, num_steps=4, forward=module.logits
    )
    assert recorder.record(Classifier(), 1).record("0").n == 11


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spectra.classes.lightning", r"needs Lightning: pip install hessian-spectra\[lightning\]"),
        ("spectra.classes.huggingface", r"pip install hessian-spectra\[huggingface\]"),
    ],
)
def test_without_its_library_a_callback_says_what_to_install(load, name, message):
    with pytest.raises(ImportError, match=message):
        load(name)
