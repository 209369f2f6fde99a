import numpy as np
import pytest
import torch

from checkpoints.data.normalisations import (
    CIFAR,
    CIFAR100,
    IMAGENET,
    STD_FLOOR,
    from_images,
    parse_normalisation,
)
from spectra.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"), [("cifar", CIFAR), ("CIFAR100", CIFAR100), (" imagenet ", IMAGENET)]
)
def test_a_named_normalisation_is_found_whatever_its_case(text, expected):
    assert parse_normalisation(text, channels=3) == expected


def test_none_maps_pixels_to_the_unit_interval():
    images = torch.tensor([0, 8, 16], dtype=torch.uint8).view(3, 1, 1, 1)
    normalised = parse_normalisation("none", channels=1, scale=16.0)(images)
    assert normalised.flatten().tolist() == [0.0, 0.5, 1.0]


def test_numbers_are_read_as_means_and_standard_deviations():
    custom = parse_normalisation("0.1,0.2,0.3/1,2,3", channels=3)
    assert (custom.mean, custom.std) == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))


def test_named_constants_of_three_channels_are_refused_for_one():
    with pytest.raises(InputError, match="for 3 channels, the images have 1"):
        parse_normalisation("cifar", channels=1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cifer", "must be cifar, cifar100, imagenet, inaturalist18, none, or numbers"),
        ("1,2,3", "must be cifar"),
        ("1,x,3/1,1,1", "must be cifar"),
        ("1,2/1,1", "needs 3 means"),
        ("0,0,0/1,0,1", "positive standard deviations"),
        ("0,0,nan/1,1,1", "finite means"),
    ],
)
def test_a_misspelt_normalisation_is_refused_in_one_line(text, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        parse_normalisation(text, channels=3)
    assert "\n" not in str(error.value)


def test_from_images_gives_numpys_per_channel_moments():
    images = torch.randint(0, 256, (7, 3, 5, 5), generator=torch.manual_seed(0)).to(torch.uint8)
    found = from_images(images, 255.0)
    pixels = images.numpy() / 255.0
    # Exact up to the order of float64 sums over 175 pixels.
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_constant_channel_gets_the_floor_as_its_deviation():
    assert from_images(torch.zeros(2, 1, 3, 3, dtype=torch.uint8), 16.0).std == (STD_FLOOR,)


def test_images_without_pixels_have_no_moments():
    with pytest.raises(InputError, match="at least one pixel"):
        from_images(torch.zeros(0, 3, 4, 4, dtype=torch.uint8), 255.0)
