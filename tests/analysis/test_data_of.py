"""Which data a checkpoint gets, and which it is not given."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from checkpoints import Architecture, Checkpoint, build_model
from checkpoints.analysis.data_of import data_for, normalisation_for
from checkpoints.data import ImageData, LabelledImages
from checkpoints.data.dataset import AS_GIVEN, LabelledInputs
from checkpoints.data.normalisations import CIFAR, IMAGENET
from spectra.errors import InputError


def checkpoint(channels=3, classes=3, **fields):
    architecture = Architecture("softmax", classes, channels, 4)
    with torch.random.fork_rng(devices=[]):
        state = build_model(architecture).state_dict()
    return Checkpoint("net", state, architecture, **fields)


@pytest.fixture
def source(tmp_path):
    def write(channels=3, labels=(0, 1, 2)):
        images = np.zeros((len(labels), channels, 4, 4), dtype=np.uint8)
        np.savez(tmp_path / "own.npz", images=images, labels=np.array(labels))
        return f"npz:{tmp_path / 'own.npz'}"

    return write


def refused(found, source, message):
    with pytest.raises(InputError, match=message) as error:
        data_for(found, source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("net", "images", "message"),
    [
        (1, 3, "takes images in grey, 1 channel, those of own are in colour, 3 channels"),
        (3, 1, "takes images in colour, 3 channels, those of own are in grey, 1 channel"),
    ],
)
def test_grey_and_colour_do_not_go_together(source, net, images, message):
    refused(checkpoint(net), source(images), message)


def test_labels_that_start_at_1_are_told_from_other_classes(source):
    refused(checkpoint(), source(labels=(1, 2, 3)), "run from 1 to 3, .*; subtract 1 from the")


def test_test_labels_from_1_beside_training_labels_from_0_are_told(source, tmp_path):
    train = source()
    np.savez(tmp_path / "t.npz", images=np.zeros((3, 3, 4, 4), np.uint8), labels=np.arange(1, 4))
    refused(
        checkpoint(), f"{train},{tmp_path / 't.npz'}", "test .* 1 to 3, .* from the test labels"
    )


def test_more_classes_than_outputs_are_refused(source):
    refused(checkpoint(), source(labels=(0, 1, 2, 3)), "own has 4 classes, net has 3 outputs")


def test_a_network_of_more_classes_than_the_digits_have_is_refused():
    refused(checkpoint(1, 100), "digits", "digits has 10 classes, net has 100 outputs")


@pytest.mark.parametrize(
    ("recorded", "typed"),
    [("own code", "--data data:load"), ("folder", "--data folder:FOLDER/data:load")],
)
def test_folders_and_code_that_a_checkpoint_names_are_not_taken(recorded, typed):
    found = checkpoint(data={"source": recorded, "name": "data:load"})
    refused(found, None, f"because a file names them; give it yourself, such as {typed}")


@pytest.mark.parametrize("recorded", ["os:getcwd", "evil.py:run"])
def test_a_source_that_a_checkpoint_records_is_never_imported(recorded, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    refused(checkpoint(data={"source": recorded, "name": "x"}), None, "give it yourself")


def floats(low, high):
    images = torch.linspace(low, high, 3 * 48).view(3, 3, 4, 4)
    return ImageData("own", LabelledInputs(images, torch.arange(3)), None, 3, AS_GIVEN)


def test_float_images_are_normalised_only_when_asked():
    data, found = floats(0, 1), checkpoint(normalisation=CIFAR)
    assert normalisation_for(found, data) == AS_GIVEN
    asked = normalisation_for(found, data, "imagenet")
    assert asked == replace(IMAGENET, scale=1.0)
    pixels = LabelledImages((data.train.inputs * 255).round().to(torch.uint8), torch.arange(3))
    # 8-bit pixels are off by half a grey level, divided by the smallest deviation
    torch.testing.assert_close(
        asked(data.train.inputs), IMAGENET(pixels.images), rtol=0, atol=0.5 / 255 / 0.224
    )


def test_moments_of_float_images_are_their_own():
    made = normalisation_for(checkpoint(), floats(0, 1), "data")(floats(0, 1).train.inputs)
    # float32 rounding of sums over 48 numbers
    torch.testing.assert_close(made.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(made.std((0, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-5)


def test_float_images_outside_0_to_1_are_not_normalised_again():
    with pytest.raises(InputError, match=r"go from -1 to 2: leave it out if they are normalised"):
        normalisation_for(checkpoint(), floats(-1, 2), "imagenet")
