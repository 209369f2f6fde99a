"""What is wrong with a machine is said with how to mend it."""

from types import SimpleNamespace

import pytest
import torch

import spectra.system.troubles as troubles
from spectra.system.troubles import troubles_here


@pytest.fixture
def sound(monkeypatch):
    """A machine on which nothing is wrong."""
    monkeypatch.setattr(troubles, "card_is_here", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(troubles.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def only(versions=()) -> tuple[str, str]:
    (found,) = troubles_here(dict(versions))
    return found.what, found.mend


def test_a_sound_machine_has_none(sound):
    assert troubles_here({"click": "8.1"}) == []


def test_a_package_that_is_not_installed_is_one(sound):
    assert only({"rich": None}.items()) == ("rich is not installed", "pip install rich")


@pytest.mark.parametrize(
    ("cuda", "visible", "what", "mend"),
    [
        (None, None, "is a build for the CPU alone", "--force-reinstall torch"),
        ("12.6", None, "needs a driver for CUDA 12.6", "update the driver"),
        ("12.6", "", "CUDA_VISIBLE_DEVICES is ''", "unset it"),
    ],
    ids=["cpu-build", "old-driver", "hidden"],
)
def test_a_card_that_torch_does_not_use_is_one(sound, monkeypatch, cuda, visible, what, mend):
    monkeypatch.setattr(troubles, "card_is_here", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    said, done = only()
    assert what in said
    assert mend in done


def test_a_card_that_torch_uses_is_none(sound, monkeypatch):
    monkeypatch.setattr(troubles, "card_is_here", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert troubles_here({}) == []


def test_fewer_threads_than_cores_is_one_where_a_variable_says_so(sound, monkeypatch):
    monkeypatch.setattr(troubles, "usable_cores", lambda: 64)
    assert troubles_here({}) == []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "of 64 cores: OMP_NUM_THREADS is '1'" in only()[0]


def test_a_full_disk_is_one(sound, monkeypatch):
    monkeypatch.setattr(troubles.shutil, "disk_usage", lambda path: SimpleNamespace(free=3 * 10**6))
    assert only()[0] == "3 MB are free on the disk of this folder"
