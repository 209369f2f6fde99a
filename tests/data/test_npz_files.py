import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from npz_files import pictures, source_of, write_npz

from checkpoints.data import (
    DataRequest,
    load_data,
    select_long_tail,
)
from checkpoints.data.dataset import AS_GIVEN
from checkpoints.data.normalisations import CIFAR
from spectra.errors import InputError


def test_npz_images_and_labels_arrive_unchanged(tmp_path):
    data = load_data(DataRequest(source_of(tmp_path / "a.npz")))
    assert torch.equal(data.train.images, torch.from_numpy(pictures(6)))
    assert data.train.labels.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_npz_with_channels_last_is_read_as_channels_first(tmp_path, channels):
    images = pictures(6, channels=channels)
    source = write_npz(
        tmp_path / "a.npz", images=images.transpose(0, 2, 3, 1), labels=np.arange(6) % 2
    )
    assert torch.equal(load_data(DataRequest(source)).train.images, torch.from_numpy(images))


def test_npz_without_test_images_has_none(tmp_path):
    with pytest.raises(InputError, match=r"npz:TRAIN\.npz,TEST\.npz"):
        load_data(DataRequest(source_of(tmp_path / "a.npz"))).split("test")


def test_npz_with_two_files_has_a_test_set(tmp_path):
    source = source_of(tmp_path / "a.npz")
    write_npz(tmp_path / "b.npz", images=pictures(4, seed=1), labels=np.array([2, 0, 1, 1]))
    data = load_data(DataRequest(f"{source},{tmp_path / 'b.npz'}"))
    assert torch.equal(data.test.images, torch.from_numpy(pictures(4, seed=1)))


def test_classes_are_counted_over_both_splits(tmp_path):
    source = source_of(tmp_path / "a.npz")
    write_npz(tmp_path / "b.npz", images=pictures(4), labels=np.array([2, 0, 1, 1]))
    data = load_data(DataRequest(f"{source},{tmp_path / 'b.npz'}"))
    assert data.class_counts == (3, 3, 0)


def test_a_profile_cuts_an_npz_to_its_counts(tmp_path):
    source = source_of(tmp_path / "a.npz", 40)
    data = load_data(DataRequest(source, profile="exp", imbalance_factor=0.1))
    assert data.class_counts == (20, 2)


def test_a_profile_selects_from_an_npz_by_the_published_rule(tmp_path):
    source = source_of(tmp_path / "a.npz", 40)
    data = load_data(DataRequest(source, profile="step", imbalance_factor=0.2, selection_seed=3))
    kept = select_long_tail(np.arange(40) % 2, (20, 4), seed=3)
    assert torch.equal(data.train.images, torch.from_numpy(pictures(40)[kept]))


def test_profile_none_leaves_an_npz_as_it_is(tmp_path):
    images, labels = pictures(5), np.array([0, 0, 0, 1, 0])
    source = write_npz(tmp_path / "a.npz", images=images, labels=labels)
    assert load_data(DataRequest(source, profile="none")).class_counts == (4, 1)


def test_description_of_an_npz_names_files_without_folders(tmp_path):
    source = source_of(tmp_path / "a.npz")
    assert str(tmp_path) not in str(load_data(DataRequest(source)).description)


@pytest.mark.parametrize("shape", [(6, 8, 8, 2), (6, 7, 9, 4), (6, 5, 4, 3)])
def test_channels_are_the_fewer_of_the_second_axis_and_the_last_and_it_is_said(tmp_path, shape):
    images = np.zeros(shape, dtype=np.uint8)
    data = load_data(write_npz(tmp_path / "a.npz", images=images, labels=np.arange(6) % 2))
    assert data.train.shape == (shape[3], shape[1], shape[2])
    assert any("(n, height, width, channels)" in note for note in data.notes)


def test_images_without_an_axis_of_channels_have_one(tmp_path):
    images = pictures(6, channels=1)
    data = load_data(write_npz(tmp_path / "a.npz", images=images[:, 0], labels=np.arange(6) % 2))
    assert torch.equal(data.train.images, torch.from_numpy(images))
    assert any("one channel" in note for note in data.notes)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_float_images_are_what_the_network_takes(tmp_path, kind):
    images = (pictures(6) / 255 - 0.5).astype(kind)
    data = load_data(write_npz(tmp_path / "a.npz", images=images, labels=np.arange(6) % 2))
    assert data.normalisation == AS_GIVEN
    np.testing.assert_array_equal(data.train.inputs.numpy(), images)


def test_training_on_float_images_is_refused_in_one_line(tmp_path):
    images = pictures(6).astype(np.float32)
    data = load_data(write_npz(tmp_path / "a.npz", images=images, labels=np.arange(6) % 2))
    with pytest.raises(InputError, match=r"needs images of 8-bit pixels \(uint8\)"):
        _ = data.train.images


def test_labels_that_do_not_start_at_0_are_said(tmp_path):
    data = load_data(write_npz(tmp_path / "a.npz", images=pictures(6), labels=np.arange(6) % 2 + 1))
    assert any("start at 1, and classes are counted from 0" in note for note in data.notes)


def test_a_git_lfs_pointer_is_named(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="git lfs pull"):
        load_data(DataRequest(f"npz:{tmp_path / 'a.npz'}"))


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint64", ">i2", ">i8"]
)
def test_labels_of_any_integer_type_are_read(tmp_path, dtype):
    labels = np.array([0, 1, 1], dtype=dtype)
    source = write_npz(tmp_path / "a.npz", images=pictures(3), labels=labels)
    assert load_data(DataRequest(source)).train.labels.dtype == torch.int64


def test_photographs_get_the_constants_of_the_cifar_codes(tmp_path):
    assert load_data(DataRequest(source_of(tmp_path / "a.npz"))).normalisation == CIFAR


def test_grey_images_get_their_own_moments(tmp_path):
    data = load_data(DataRequest(source_of(tmp_path / "a.npz", channels=1)))
    pixels = pictures(6, channels=1) / 255
    # 96 float64 terms
    assert data.normalisation.mean == pytest.approx((pixels.mean(),), rel=1e-12)
    assert data.normalisation.std == pytest.approx((pixels.std(),), rel=1e-12)


OBJECTS = np.empty(3, dtype=object)
BAD_ARRAYS = {
    "no labels": {"images": pictures(3)},
    "no images": {"labels": np.arange(3)},
    "other names": {"x": pictures(3), "y": np.arange(3)},
    "objects": {"images": pictures(3), "labels": OBJECTS},
    "images that are NaN": {"images": np.full((3, 1, 2, 2), np.nan), "labels": np.arange(3)},
    "int64 images": {"images": pictures(3).astype(np.int64), "labels": np.arange(3)},
    "flat images": {"images": pictures(3).reshape(3, -1), "labels": np.arange(3)},
    "float labels": {"images": pictures(3), "labels": np.arange(3.0)},
    "one-hot labels": {"images": pictures(3), "labels": np.eye(3, dtype=np.int64)},
    "fewer labels": {"images": pictures(3), "labels": np.arange(2)},
    "negative labels": {"images": pictures(3), "labels": np.array([0, -1, 1])},
    "a label that is no class": {"images": pictures(3), "labels": np.array([0, 1, 10**12])},
    "no image at all": {"images": pictures(3)[:0], "labels": np.arange(0)},
    "images without pixels": {"images": pictures(3, size=0), "labels": np.arange(3)},
}


@pytest.mark.parametrize("arrays", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays_are_refused_in_one_line_that_names_the_file(tmp_path, arrays):
    source = write_npz(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError) as error:
        load_data(DataRequest(source))
    assert str(tmp_path / "bad.npz") in str(error.value)
    assert "\n" not in str(error.value)


def test_object_arrays_are_refused_without_unpickling_them(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    OBJECTS[:] = None
    trap = np.array([Trap()], dtype=object)
    source = write_npz(tmp_path / "a.npz", images=pictures(1), labels=trap)
    with pytest.raises(
        InputError, match=r"labels: it holds Python objects, and only numbers are read"
    ):
        load_data(DataRequest(source))
    assert not (tmp_path / "sprung").exists()


def damaged(kind: str) -> bytes:
    buffer = io.BytesIO()
    save = np.savez_compressed if kind == "flipped byte, compressed" else np.savez
    images = (np.arange(5 * 3 * 16) // 9).astype(np.uint8).reshape(5, 3, 4, 4)
    save(buffer, images=images, labels=np.arange(5) % 2)
    content = bytearray(buffer.getvalue())
    if kind == "truncated":
        return bytes(content[: len(content) // 2])
    if kind == "flipped byte":
        content[250] ^= 0xFF  # a pixel
        return bytes(content)
    if kind == "flipped byte, compressed":
        content[61] ^= 0xFF  # the code table of the deflated stream
        return bytes(content)
    if kind == "npy":
        np.save(array := io.BytesIO(), np.arange(3))
        return array.getvalue()
    if kind == "zip of text":
        with zipfile.ZipFile(archive := io.BytesIO(), "w") as file:
            file.writestr("images", "a")
            file.writestr("labels", "b")
        return archive.getvalue()
    return {"empty": b"", "text": b"images, labels\n"}[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "text",
        "truncated",
        "flipped byte",
        "flipped byte, compressed",
        "npy",
        "zip of text",
    ],
)
def test_a_file_that_is_no_intact_npz_is_refused_in_one_line(tmp_path, kind):
    (tmp_path / "a.npz").write_bytes(damaged(kind))
    with pytest.raises(InputError) as error:
        load_data(DataRequest(f"npz:{tmp_path / 'a.npz'}"))
    assert "\n" not in str(error.value)


def test_nobody_is_advised_to_load_text_as_a_pickle(tmp_path):
    (tmp_path / "a.npz").write_bytes(damaged("text"))
    with pytest.raises(InputError, match="it is no npz archive"):
        load_data(DataRequest(f"npz:{tmp_path / 'a.npz'}"))


def test_one_array_of_numpy_is_named(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(InputError, match=r"is one array as numpy\.save writes it; expected an npz"):
        load_data(DataRequest(f"npz:{tmp_path / 'a.npy'}"))


@pytest.mark.parametrize("other", [{"channels": 1}, {"size": 8}], ids=["channels", "size"])
def test_test_images_of_another_shape_are_refused(tmp_path, other):
    labels = np.arange(6) % 2
    train = write_npz(tmp_path / "a.npz", images=pictures(6), labels=labels)
    write_npz(tmp_path / "b.npz", images=pictures(6, **other), labels=labels)
    with pytest.raises(InputError, match=r"test images of a must have .* \(3, 4, 4\), got"):
        load_data(DataRequest(f"{train},{tmp_path / 'b.npz'}"))


@pytest.mark.parametrize("source", ["npz:", "npz:a.npz,b.npz,c.npz"])
def test_npz_needs_one_or_two_files(source):
    with pytest.raises(InputError, match=r"expected npz:TRAIN\.npz\[,TEST\.npz\]"):
        load_data(DataRequest(source))


def test_an_absent_npz_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent\.npz"):
        load_data(DataRequest(f"npz:{tmp_path / 'absent.npz'}"))


def test_floats_that_look_like_pixels_are_said(tmp_path):
    images = pictures(4).astype(np.float32)
    source = write_npz(tmp_path / "a.npz", images=images, labels=np.arange(4) % 2)
    (note,) = load_data(DataRequest(source)).notes
    assert "are taken as they are: where these are pixels" in note
