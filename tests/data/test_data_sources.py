import os
from pathlib import Path

import pytest
import torch
from npz_files import source_of

from checkpoints.data import (
    DataRequest,
    ImageData,
    LabelledImages,
    Normalisation,
    load_data,
)
from checkpoints.data.normalisations import CIFAR
from checkpoints.data.sources import recipe_family
from spectra.errors import InputError


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
    [
        (10, 32, "cifar10"),
        (100, 32, "cifar100"),
        (7, 32, "cifar10"),
        (10, 8, "digits"),
        (1000, 32, "imagenet-lt"),
        (8142, 32, "inaturalist18"),
    ],
)
def test_recipe_family_goes_by_classes_and_image_size(num_classes, size, family):
    images = LabelledImages(
        torch.zeros(1, 3, size, size, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    )
    data = ImageData("a", images, None, num_classes, CIFAR, {"source": "npz"})
    assert recipe_family(data) == family


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
