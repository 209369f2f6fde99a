import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from checkpoints.data import (
    DataRequest,
    ImageData,
    LabelledImages,
    Normalisation,
    load_data,
    select_long_tail,
)
from checkpoints.data.normalisations import CIFAR
from checkpoints.data.sources import recipe_family
from spectra import make_generator
from spectra.errors import InputError


def pictures(n: int, *, channels: int = 3, size: int = 4, seed: int = 0) -> np.ndarray:
    generator = make_generator(seed, "pictures")
    shape = (n, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).numpy()


def write_npz(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


def source_of(path: Path, n: int = 6, *, channels: int = 3) -> str:
    return write_npz(path, images=pictures(n, channels=channels), labels=np.arange(n) % 2)


@pytest.fixture(autouse=True)
def no_data_folder(request, monkeypatch):
    if "shared_data" not in request.keywords:
        monkeypatch.delenv("SPECTRA_DATA", raising=False)


# --- digits -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data(DataRequest("digits"))


def test_digits_are_long_tailed_by_default(digits):
    # 1,797 digits, 50 a class for the test; the rarest class keeps 124; int(124 · .05^(c/9))
    assert digits.class_counts == (124, 88, 63, 45, 32, 23, 16, 12, 8, 6)


def test_digits_test_set_holds_fifty_of_each_class(digits):
    assert digits.test.counts(10) == (50,) * 10


def test_digits_train_and_test_sets_share_no_image():
    data = load_data(DataRequest("digits", profile="none"))
    train, test = ({x.numpy().tobytes() for x in s.images} for s in (data.train, data.test))
    assert not train & test


def test_digits_images_are_the_ones_of_their_labels(digits):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = {
        image.astype(np.uint8).tobytes(): int(label)
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    both = [
        (digits.train.images, digits.train.labels),
        (digits.test.images, digits.test.labels),
    ]
    for images, labels in both:
        assert [known[image.numpy().tobytes()] for image in images] == labels.tolist()


def test_digits_normalise_to_mean_zero_and_deviation_one(digits):
    pixels = digits.normalisation(digits.train.images, torch.float64)
    # 26,688 pixels, moments kept as float64: rounding of a sum of that many terms
    assert (float(pixels.mean()), float(pixels.std(correction=0))) == pytest.approx(
        (0.0, 1.0), abs=1e-12
    )


def test_digits_digest_is_the_same_at_every_load(digits):
    assert load_data(DataRequest("digits")).digest() == digits.digest()


def test_digest_is_the_sha256_of_shape_images_and_labels(digits):
    expected = hashlib.sha256(
        b"(417, 1, 8, 8)"
        + digits.train.images.numpy().tobytes()
        + digits.train.labels.numpy().tobytes()
    ).hexdigest()
    assert digits.digest() == expected


def test_another_selection_seed_gives_other_images(digits):
    assert load_data(DataRequest("digits", selection_seed=1)).digest() != digits.digest()


def test_another_selection_seed_keeps_the_test_set(digits):
    other = load_data(DataRequest("digits", selection_seed=1))
    assert torch.equal(other.test.images, digits.test.images)


def test_digits_without_a_profile_are_balanced():
    assert load_data(DataRequest("digits", profile="none")).class_counts == (124,) * 10


def test_description_holds_what_rebuilds_the_data(digits):
    assert digits.description == {
        "source": "digits",
        "profile": "exp",
        "selection_seed": 0,
        "imbalance_factor": 0.05,
        "n_max": 124,
        "name": "digits",
    }


def test_more_images_than_there_are_is_refused():
    with pytest.raises(InputError, match="class 0 has 128 images where 500 were asked for"):
        load_data(DataRequest("digits", n_max=500))


# --- npz --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint16"])
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
    "float images": {"images": pictures(3).astype(np.float32), "labels": np.arange(3)},
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
    with pytest.raises(InputError):
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


# --- names, folders, families -----------------------------------------------------------------


@pytest.mark.parametrize("source", ["", "mnist", "cifar", "NPZ:a.npz"])
def test_an_unknown_source_is_refused(source):
    with pytest.raises(InputError, match="unknown data source"):
        load_data(DataRequest(source))


def test_a_source_may_stand_for_a_request(tmp_path):
    source = source_of(tmp_path / "a.npz")
    assert load_data(source).digest() == load_data(DataRequest(source)).digest()


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_cifar_without_a_folder_says_how_to_name_one(source):
    with pytest.raises(InputError, match=f"{source}:FOLDER or set SPECTRA_DATA"):
        load_data(DataRequest(source))


def test_an_npz_is_looked_for_in_the_data_folder(tmp_path, monkeypatch):
    source_of(tmp_path / "only-there.npz")
    monkeypatch.setenv("SPECTRA_DATA", str(tmp_path))
    assert load_data(DataRequest("npz:only-there.npz")).name == "only-there"


def test_an_npz_of_the_working_folder_goes_before_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    source_of(tmp_path / "data" / "a.npz", 4)
    source_of(tmp_path / "a.npz", 8)
    monkeypatch.setenv("SPECTRA_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    assert len(load_data(DataRequest("npz:a.npz")).train) == 8


def test_cifar_is_looked_for_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECTRA_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="elsewhere"):
        load_data(DataRequest("cifar10"))


@pytest.mark.parametrize(
    ("num_classes", "size", "family"),
    [(10, 32, "cifar10"), (100, 32, "cifar100"), (7, 32, "cifar10"), (10, 8, "digits")],
)
def test_recipe_family_goes_by_classes_and_image_size(num_classes, size, family):
    images = LabelledImages(
        torch.zeros(1, 3, size, size, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    )
    data = ImageData("a", images, None, num_classes, CIFAR, {"source": "npz"})
    assert recipe_family(data) == family


# --- containers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int32)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
    ],
    ids=["float images", "3 axes", "int32 labels", "3 labels for 2 images"],
)
def test_labelled_images_check_type_and_shape(images, labels):
    with pytest.raises(InputError, match="must be"):
        LabelledImages(images, labels)


def test_an_unknown_split_is_refused(digits):
    with pytest.raises(InputError, match="split must be train or test, got 'val'"):
        digits.split("val")


def test_normalisation_is_pixel_over_scale_minus_mean_over_std():
    images = torch.tensor([0, 16, 8], dtype=torch.uint8).view(1, 3, 1, 1)
    normalisation = Normalisation("custom", (0.5, 0.25, 0.0), (0.5, 0.25, 2.0), scale=16.0)
    assert normalisation(images).flatten().tolist() == [-1.0, 3.0, 0.25]


def test_normalisation_survives_its_plain_form():
    assert Normalisation.from_dict(CIFAR.to_dict()) == CIFAR


# --- the real files ---------------------------------------------------------------------------


def shared(name: str) -> str:
    folder = os.environ.get("SPECTRA_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"set SPECTRA_DATA to the folder that holds {name}")
    return f"npz:{name}"


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "num_classes", "size"), [("cifar10", 10, 12406), ("cifar100", 100, 10847)]
)
def test_real_long_tailed_cifar_has_the_published_counts(name, num_classes, size):
    data = load_data(DataRequest(shared(f"{name}-lt-if100-train.npz")))
    n_max = 50000 // num_classes
    expected = tuple(int(n_max * 0.01 ** (c / (num_classes - 1))) for c in range(num_classes))
    assert data.class_counts == expected
    assert len(data.train) == size


@pytest.mark.parametrize(
    "request_",
    [DataRequest("digits:folder"), DataRequest(n_max=0), DataRequest(selection_seed=-1)],
    ids=["folder", "n_max", "seed"],
)
def test_a_request_that_would_be_ignored_or_fail_later_is_refused(request_):
    with pytest.raises(InputError):
        load_data(request_)
