import hashlib

import numpy as np
import pytest
import torch

from checkpoints.data import (
    DataRequest,
    load_data,
)
from spectra.errors import InputError


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
