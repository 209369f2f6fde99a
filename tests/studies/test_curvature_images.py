"""Images that carry curvature, in a study's folder: made once, and again where damaged."""

import pytest

from checkpoints import AnalysisRequest, load_checkpoint, load_data
from checkpoints.studies.curvature_images import damaged_images, keep_images
from spectra import SolverSettings
from spectra.results.directions.image_curvatures import load_images
from spectra.results.directions.pictures_file import load_pictures

REQUEST = AnalysisRequest(classes="9", solver=SolverSettings(max_steps=20))


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint("bundled:digits/ce-drw")


@pytest.fixture
def kept(tmp_path, checkpoint):
    keep_images(checkpoint, load_data(), REQUEST, folder=tmp_path)
    return tmp_path


def test_result_and_pictures_are_of_the_same_images(kept):
    found = load_images(kept / "images.json")
    assert [one.label for one in found.losses] == ["9"]
    assert set(load_pictures(kept / "pictures.npz")) == {i.position for i in found.losses[0].images}


def test_what_is_sound_is_not_made_again(kept, checkpoint):
    before = (kept / "images.json").stat().st_ino
    keep_images(checkpoint, load_data(), REQUEST, folder=kept)
    assert (kept / "images.json").stat().st_ino == before


@pytest.mark.parametrize("name", ["images.json", "pictures.npz"])
def test_a_changed_byte_is_noticed_and_made_again_to_the_same_bytes(name, kept, checkpoint):
    path = kept / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    assert damaged_images(kept)
    keep_images(checkpoint, load_data(), REQUEST, folder=kept)
    assert path.read_bytes() == whole
    assert not damaged_images(kept)


def test_images_of_other_weights_are_noticed(kept):
    assert damaged_images(kept, weights="other") == [f"{kept / 'images.json'} is of other weights"]


def test_images_that_are_gone_are_noticed(tmp_path):
    assert "images.json" in damaged_images(tmp_path)[0]
