import json
import shutil

import pytest
from command_line import invoke
from written_photos import write_photos

from checkpoints import Recipe, load_data, train
from checkpoints.data.photos.checking import check_photos
from checkpoints.data.photos.workers import Workers
from checkpoints.training.images.rates import measure_rates
from spectra.errors import InputError

BROKEN = {
    "train/n0000/1.JPEG": "No such file or directory",
    "train/n0001/0.JPEG": "it is no image of a known kind",
    "test/n0002/0.JPEG": "expected a file, got a folder",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "whole", (3, 2, 2))


@pytest.fixture
def root(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "photos")


@pytest.fixture
def broken(root):
    (root / "train/n0000/1.JPEG").unlink()
    (root / "train/n0001/0.JPEG").write_text("no image")
    (root / "test/n0002/0.JPEG").unlink()
    (root / "test/n0002/0.JPEG").mkdir()
    return root


def checked(root, **options):
    data = load_data(f"imagenet-lt:{root},16")
    splits = {"train": data.train, "test": data.test}
    return check_photos(splits, workers=Workers(0), **options)


def test_nothing_is_wrong_with_a_whole_folder(whole):
    found = checked(whole, decode=True)
    assert (found.files, found.faults, found.duplicates) == (10, (), ())


def test_a_folder_with_three_broken_files_lists_those_three(broken):
    found = checked(broken)
    assert [fault.path for fault in found.faults] == list(BROKEN)
    for fault, why in zip(found.faults, BROKEN.values(), strict=True):
        assert fault.why.endswith(why)


def test_an_image_that_ends_too_early_is_found_by_decoding_it(root):
    path = root / "train/n0002/1.JPEG"
    path.write_bytes(path.read_bytes()[:-60])
    assert checked(root).faults == ()
    (fault,) = checked(root, decode=True).faults
    assert fault.path == "train/n0002/1.JPEG"
    assert "truncated" in fault.why


def test_images_that_are_there_twice_are_named_with_splits_and_labels(root):
    shutil.copy(root / "train/n0000/0.JPEG", root / "train/n0000/2.JPEG")
    shutil.copy(root / "train/n0001/1.JPEG", root / "test/n0002/0.JPEG")
    with (root / "ImageNet_LT_train.txt").open("a") as file:
        file.write("train/n0002/0.JPEG 1\n")
    assert [str(found) for found in checked(root).duplicates] == [
        "train/n0002/0.JPEG (train, class 2) = train/n0002/0.JPEG (train, class 1): with different "
        "labels",
        "train/n0000/0.JPEG (train, class 0) = train/n0000/2.JPEG (train, class 0)",
        "train/n0001/1.JPEG (train, class 1) = test/n0002/0.JPEG (test, class 2): in both splits "
        "and with different labels",
    ]


def test_files_of_one_size_and_one_end_are_no_duplicates_where_they_begin_otherwise(root):
    for k, first in enumerate((b"\x00", b"\x01")):
        (root / f"train/n0000/{k}.JPEG").write_bytes(first + bytes(40_000))
    assert checked(root).duplicates == ()


def test_the_command_lists_all_that_is_wrong_and_ends_with_2(broken, tmp_path):
    result = invoke("data", "check", f"imagenet-lt:{broken},16", "-o", tmp_path / "out")
    assert result.exit_code == 2
    listed = (tmp_path / "out/broken-images.txt").read_text()
    for path, why in BROKEN.items():
        assert path in listed
        assert why in listed
        assert path in result.stdout
    assert "3 of 10 image files cannot be used, all in" in result.stderr


def test_the_command_prints_what_it_found_as_json(whole, tmp_path):
    result = invoke(
        "data", "check", f"imagenet-lt:{whole},16", "--decode", "--workers", 0, "--json",
        "-o", tmp_path,
    )  # fmt: skip
    found = json.loads(result.stdout)
    assert found["checked"]["files"] == 10
    assert found["listed_in"] is None


def test_images_in_memory_are_not_checked():
    result = invoke("data", "check", "digits")
    assert result.exit_code == 2
    assert "the images of digits lie in memory" in result.stderr


def test_a_training_looks_at_all_files_before_it_begins(broken, tmp_path):
    recipe = Recipe("ce", epochs=1, batch_size=4, augment_crop=0)
    with pytest.raises(InputError, match=r"3 of 10 image files cannot be used, all in .*run.*txt"):
        train(recipe, f"imagenet-lt:{broken},16", arch="softmax", output=tmp_path / "run")
    assert len((tmp_path / "run/broken-images.txt").read_text().splitlines()) == 3


def test_decoding_is_measured_against_training(whole):
    data = load_data(f"imagenet-lt:{whole},16")
    rates = measure_rates(data, "softmax", batch_size=8, seconds=0.01, workers=Workers(0))
    assert rates.decoded > 0
    assert rates.trained > 0
    with pytest.raises(InputError, match="lie in memory and are not decoded"):
        measure_rates(load_data("digits"), "softmax")
