"""``spectra images`` from end to end, on a bundled checkpoint."""

import csv
import json
from pathlib import Path

import pytest
from command_line import invoke, refused

from spectra.results.directions.image_curvatures import ENDS, load_images
from spectra.results.directions.pictures_file import load_pictures

DIGITS = "bundled:digits/ce-drw"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    result = invoke("images", DIGITS, "--class", 8, "--show", 3, "-o", folder)
    assert result.exit_code == 0, result.output
    (folder / "stdout.txt").write_text(result.stdout)
    return folder


def test_files_hold_every_image_and_the_terminal_the_first(folder):
    (found,) = load_images(folder / "images.json").losses
    rows = list(csv.DictReader((folder / "images.csv").read_text().splitlines()))
    assert len(found.images) == len(rows) == 8
    shown = (folder / "stdout.txt").read_text()
    assert "class 8: 3 of 8 images, largest shares of λmin" in shown
    assert found.sentence in " ".join(shown.split())


def test_pictures_are_kept_of_the_images_that_are_shown(folder):
    (found,) = load_images(folder / "images.json").losses
    shown = {image.position for end in ENDS for image in found.ranked(end)[:3]}
    pictures = load_pictures(folder / "pictures.npz")
    assert set(pictures) == shown
    assert {(p.shape, int(p.max())) for p in pictures.values()} == {((8, 8, 1), 255)}


def test_a_sheet_is_drawn(folder):
    assert (folder / "images-8.png").stat().st_size > 10_000


def test_the_same_command_writes_the_same_files(folder, tmp_path):
    result = invoke("images", DIGITS, "--classes", 8, "--show", 3, "-o", tmp_path, "--json")
    assert len(json.loads(result.stdout)["losses"][0]["images"]) == 8
    for name in ("images.json", "images.csv", "pictures.npz", "images-8.png"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_vectors_of_an_analysis_are_taken(tmp_path):
    asked = ("--classes", "9", "--num-probes", "0")
    done = invoke("analyze", DIGITS, *asked, "--save-vectors", "--no-figures", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    result = invoke(
        "images", DIGITS, "--class", 9, "--vectors", tmp_path, "--no-figures", "-o", tmp_path,
        "--json",
    )  # fmt: skip
    assert json.loads(result.stdout)["protocol"]["given_vectors"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name them, such as --class 8"),
        (("--class", "8", "--images", "fresh"), "fixed matrix"),
        (("--class", "12"), "class"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, tmp_path):
    assert said in refused("images", DIGITS, *arguments, "-o", tmp_path)
