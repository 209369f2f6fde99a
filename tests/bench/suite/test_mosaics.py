"""Images in lossless mosaics."""

import sys

import pytest
import torch
from suite_parts import noise

from cli.bench.gpu_references import mosaics
from cli.bench.gpu_references.mosaics import read_images, write_images
from spectra import InputError


# 1,025: a full mosaic, and one image in another.
@pytest.mark.parametrize(("n", "channels"), [(1025, 3), (5, 3), (5, 1)])
def test_images_come_back_from_mosaics_byte_for_byte(tmp_path, n, channels):
    images = noise(n, channels, side=8)
    names = write_images(tmp_path, "train", images)
    assert len(names) == (2 if n > 1024 else 1)
    assert torch.equal(read_images(tmp_path, names, shape=tuple(images.shape)), images)


def test_images_of_many_mosaics_come_back_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(mosaics, "COLUMNS", 2)
    monkeypatch.setattr(mosaics, "ROWS", 2)
    images = noise(11, 3)
    names = write_images(tmp_path, "train", images)
    assert len(names) == 3
    assert torch.equal(read_images(tmp_path, names, shape=tuple(images.shape)), images)


def test_without_pillow_images_are_an_npz(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(mosaics.importlib.util, "find_spec", lambda name: None)
    images = noise(3, 3)
    assert write_images(tmp_path, "train", images) == ["train.npz"]
    assert torch.equal(read_images(tmp_path, ["train.npz"], shape=tuple(images.shape)), images)


def test_reading_mosaics_without_pillow_says_what_to_install(tmp_path, monkeypatch):
    names = write_images(tmp_path, "train", noise(3, 3))
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(InputError, match="pip install pillow"):
        read_images(tmp_path, names, shape=(3, 3, 32, 32))
