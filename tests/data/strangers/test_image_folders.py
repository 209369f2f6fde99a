import os
import struct
import sys
import zlib

import numpy as np
import pytest
import torch
from npz_files import pictures

from checkpoints.data import load_data
from spectra.errors import InputError
from spectra.system.files.limits import raised_limits

image_files = pytest.importorskip("PIL.Image")


def write_folder(folder, counts=(3, 2), *, channels=3, size=4, classes=("cat", "dog")):
    for label, (name, count) in enumerate(zip(classes, counts, strict=True)):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(pictures(count, channels=channels, size=size, seed=label)):
            pixels = image[0] if channels == 1 else image.transpose(1, 2, 0)
            image_files.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_each_folder_is_a_class_in_alphabetical_order(tmp_path, channels):
    data = load_data(f"folder:{write_folder(tmp_path / 'pets', channels=channels)}")
    wanted = [pictures(n, channels=channels, seed=c) for c, n in enumerate((3, 2))]
    assert torch.equal(data.train.images, torch.from_numpy(np.concatenate(wanted)))
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert (data.name, data.class_counts) == ("pets", (3, 2))
    assert data.notes == ("classes of pets by folder: 0 cat, 1 dog",)


@pytest.mark.parametrize("test", ["test", "val"])
def test_train_and_test_folders_are_splits(tmp_path, test):
    write_folder(tmp_path / "pets" / "train")
    write_folder(tmp_path / "pets" / test, (1, 4))
    data = load_data(f"folder:{tmp_path / 'pets'}")
    assert data.class_counts == (3, 2)
    assert data.test.counts(2) == (1, 4)


def test_images_are_resized_when_a_size_is_given(tmp_path):
    write_folder(tmp_path / "pets", size=9)
    assert load_data(f"folder:{tmp_path / 'pets'},4").train.shape == (3, 4, 4)


def hostile(folder, content: bytes, name: str = "0.png"):
    write_folder(folder, (0, 1))
    (folder / "cat" / name).write_bytes(content)
    return f"folder:{folder}"


def png(width: int, height: int, packed: bytes) -> bytes:
    """A picture that is as large as it says, or is not."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 2**31 - 1])
def test_an_image_of_more_pixels_than_the_limit_is_refused_undecoded(tmp_path, side):
    source = hostile(tmp_path / "pets", png(side, side, b""))
    refused(source, r"0\.png: .* is more than the limit of pixels of an image, .*image_pixels=")


def test_images_that_are_nearly_empty_become_no_more_than_the_limit(tmp_path):
    grey = zlib.compress(bytes(1001 * 1000))
    source = hostile(tmp_path / "pets", png(1000, 1000, grey))
    for number in range(1, 4):
        (tmp_path / "pets" / "cat" / f"{number}.png").write_bytes(png(1000, 1000, grey))
    with raised_limits(unpacked=3 * 10**6):
        refused(source, "images that are nearly empty: .* --limit unpacked=")


@pytest.mark.parametrize("name", ["0.png", "0.jpg", "0.gif", "0.tiff"])
def test_postscript_by_the_name_of_an_image_runs_nothing(tmp_path, name, monkeypatch):
    from PIL import EpsImagePlugin

    def run(*_, **__):
        raise AssertionError("a program was run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    refused(hostile(tmp_path / "pets", script, name), f"cannot read the image .*{name}")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n", png(4, 4, b""), png(4, 4, b"\xff" * 9), png(0, 4, b""), bytes(99)],
    ids=["empty", "a start", "no pixels", "no stream", "no width", "zeros"],
)
def test_a_damaged_image_is_one_line(tmp_path, content):
    refused(hostile(tmp_path / "pets", content), "0.png")


def test_pipes_and_devices_among_the_images_are_left_alone(tmp_path):
    folder = write_folder(tmp_path / "pets")
    os.mkfifo(folder / "cat" / "a.png")
    (folder / "cat" / "b.png").symlink_to("/dev/zero")
    assert load_data(f"folder:{folder}").class_counts == (3, 2)


def test_more_folders_than_the_limit_of_classes_are_refused(tmp_path):
    with raised_limits(classes=1):
        refused(f"folder:{write_folder(tmp_path / 'pets')}", "its folders: 2 is more than")


def test_sixteen_bits_become_the_nearest_of_eight(tmp_path):
    pixels = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    image_files.fromarray(pixels).save(tmp_path / "pets" / "cat" / "0.png")
    found = load_data(f"folder:{tmp_path / 'pets'}").train.images[0, 0]
    assert np.array_equal(found.numpy(), np.rint(pixels / 257.0).astype(np.uint8))


def test_paths_are_not_recorded(tmp_path):
    data = load_data(f"folder:{write_folder(tmp_path / 'pets')}")
    assert data.description["source"] == "folder"
    assert str(tmp_path) not in str(data.description)


def refused(source, message):
    with pytest.raises(InputError, match=message) as error:
        load_data(source)
    assert "\n" not in str(error.value)


def test_sizes_that_differ_are_refused_with_how_to_resize(tmp_path):
    write_folder(tmp_path / "pets", classes=("a", "b"))
    write_folder(tmp_path / "pets", (1,), size=5, classes=("c",))
    refused(f"folder:{tmp_path / 'pets'}", r"4x4 and .* is 5x5; resize them with folder:PATH,SIZE")


def test_a_missing_pillow_is_said(tmp_path, monkeypatch):
    write_folder(tmp_path / "pets")
    monkeypatch.setitem(sys.modules, "PIL", None)
    refused(f"folder:{tmp_path / 'pets'}", "pip install pillow")


def test_what_is_no_folder_of_classes_is_refused(tmp_path):
    refused(f"folder:{tmp_path / 'absent'}", "there is no folder")
    refused(f"folder:{tmp_path}", "holds no folders; expected one folder of images a class")
    (tmp_path / "a").mkdir()
    refused(f"folder:{tmp_path}", "holds no images")
    refused(f"folder:{tmp_path},big", "SIZE in pixels")
    (tmp_path / "a" / "x.png").write_bytes(b"no image")
    refused(f"folder:{tmp_path}", "cannot read the image")


def test_test_classes_that_training_lacks_are_refused(tmp_path):
    write_folder(tmp_path / "pets" / "train")
    write_folder(tmp_path / "pets" / "test", classes=("cat", "fox"))
    refused(f"folder:{tmp_path / 'pets'}", "has classes that .* has not: fox")


def test_grey_images_of_16_bits_keep_their_shades(tmp_path):
    shades = np.array([[0, 257], [32896, 65535]], dtype=np.uint16)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image_files.fromarray(shades).save(tmp_path / name / "0.png")
    images = load_data(f"folder:{tmp_path}").train.images
    assert images[0].tolist() == [[[0, 1], [128, 255]]]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_images_of_32_bits_are_refused(tmp_path, kind):
    (tmp_path / "a").mkdir()
    image_files.fromarray(np.ones((2, 2), kind)).save(tmp_path / "a" / "0.tif")
    refused(f"folder:{tmp_path}", "0.tif has pixels of 32 bits, .* expected 8 or 16 bits")
