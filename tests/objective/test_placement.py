import logging

import pytest
import torch
from torch import nn

from spectra import InputError, LazyImages, class_hessian
from spectra.objective.placement import _say_once, indexed, place


class Somewhere:
    """What says where it is, for devices that are not here."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)


class Model(nn.Module):
    def __init__(self, *devices: str) -> None:
        super().__init__()
        self.devices = devices

    def parameters(self, recurse: bool = True):
        return iter([Somewhere(d) for d in self.devices])


@pytest.fixture(autouse=True)
def _unsaid():
    _say_once.cache_clear()


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 1)


@pytest.mark.parametrize(
    ("model", "images", "wanted"),
    [
        (("cpu",), "cpu", "cpu"),
        (("cuda:1", "cuda:1"), "cuda:1", "cuda:1"),
        ((), "cuda:1", "cuda:1"),
    ],
)
def test_where_both_are_is_where_to_compute_and_nothing_is_said(model, images, wanted, caplog):
    assert place(Model(*model), Somewhere(images)) == torch.device(wanted)
    assert not caplog.records


@pytest.mark.parametrize(("model", "images"), [("cuda:1", "cpu"), ("cpu", "cuda:1")])
def test_the_accelerator_is_taken_of_a_mixed_pair_and_it_is_said_once(model, images, caplog):
    with caplog.at_level(logging.WARNING, "spectra"):
        for _ in range(2):
            assert place(Model(model), Somewhere(images)) == torch.device("cuda:1")
    assert [r.getMessage() for r in caplog.records] == [
        f"the model is on {model} and the images are on {images}: computing on cuda:1; "
        "give device= to choose"
    ]


@pytest.mark.parametrize("asked", ["cpu", torch.device("cpu")])
def test_what_is_asked_for_wins_without_a_word(asked, caplog):
    for model in (Model("cuda:0"), Model("cuda:0", "cuda:1")):
        assert place(model, Somewhere("cuda:1"), asked) == torch.device("cpu")
    assert not caplog.records


def test_two_accelerators_are_refused():
    with pytest.raises(InputError, match=r"model is on cuda:0 .* images are on cuda:1; move one"):
        place(Model("cuda:0"), Somewhere("cuda:1"))


def test_a_model_on_several_devices_is_refused():
    with pytest.raises(InputError, match="its parameters are on cpu and cuda:0; move it, or give"):
        place(Model("cuda:0", "cpu"), Somewhere("cpu"))


def test_lazy_images_say_where_they_are():
    assert place(nn.Linear(1, 1), LazyImages(lambda k: k[:, None].float(), 3)).type == "cpu"


@pytest.mark.parametrize(("text", "wanted"), [("cuda", "cuda:1"), ("cuda:0", "cuda:0")])
def test_cuda_is_the_current_card(two_cards, text, wanted):
    assert indexed(text) == torch.device(wanted)


def test_a_card_that_is_not_there_is_refused_with_those_that_are(two_cards):
    with pytest.raises(InputError, match="torch sees 2 CUDA devices; use cuda:0 to cuda:1"):
        indexed("cuda:2")


@pytest.mark.parametrize("text", ["cuda", "cuda:0"])
def test_cards_are_refused_where_there_are_none(monkeypatch, text):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=f"device {text} is not here: torch sees no CUDA device"):
        indexed(text)


@pytest.mark.parametrize("text", ["gpu", "cuda:x", ""])
def test_what_is_no_device_is_refused(text):
    with pytest.raises(InputError, match="device must be one that torch knows"):
        indexed(text)


def test_class_hessian_computes_where_it_is_told(monkeypatch):
    asked = []

    def placed(model, images, device):
        asked.append(device)
        return torch.device("cpu")

    monkeypatch.setattr("spectra.operators.class_hessian.place", placed)
    images, labels = torch.ones(4, 3), torch.arange(4) % 2
    op = class_hessian(nn.Linear(3, 2), images, labels, 1, device="meta")
    assert (asked, op.device.type) == (["meta"], "cpu")
