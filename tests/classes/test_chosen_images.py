import logging

import pytest
import torch
from image_data import IMAGES, LABELS, WithTargets

from spectra import InputError, LazyImages
from spectra.classes.chosen_images import choose_images, choose_of_data

ONES = torch.ones(3, dtype=torch.float64)
PAIR = (IMAGES, LABELS)


def chosen(data=PAIR, classes="all", per_class=None):
    return choose_of_data(data, classes, per_class=per_class, seed=0, room=2**20)


def test_every_image_of_a_class_is_chosen_in_the_order_of_the_data():
    choice = choose_images(LABELS, (0, 2), ONES, per_class=None, seed=0)
    assert choice.index.tolist() == [i for i in range(30) if LABELS[i] in (0, 2)]
    assert choice.weights.tolist() == [1.0] * 20
    assert choice.share == pytest.approx(20 / 30, rel=1e-15)


def test_a_class_draws_the_same_images_whatever_else_is_chosen():
    alone = choose_images(LABELS, (1,), ONES, per_class=4, seed=0).index
    among = choose_images(LABELS, (0, 1, 2), ONES, per_class=4, seed=0).index
    assert torch.equal(alone, among[LABELS[among] == 1])


def test_images_of_a_class_that_is_cut_stand_for_all_of_it():
    choice = choose_images(LABELS, (0, 1, 2), ONES, per_class=5, seed=0)
    of_class = [float(choice.weights[LABELS[choice.index] == c].sum()) for c in range(3)]
    # n/k times k, where n/k is rounded once
    assert of_class == pytest.approx([11, 10, 9], rel=1e-15)


def test_a_loss_gets_its_images_labels_and_weights():
    found = chosen(classes=["overall", 1], per_class=6)
    images, labels, weights = found.of_loss("1")
    expected = choose_images(LABELS, (1,), ONES, per_class=6, seed=0)
    assert torch.equal(images, IMAGES[expected.index])
    assert labels.tolist() == [1] * 6
    assert torch.equal(weights, expected.weights)
    assert len(found.of_loss("overall")[0]) == 18


def test_images_in_two_losses_are_read_and_held_once():
    data = WithTargets()
    found = chosen(data, ["overall", "all"], per_class=3)
    assert len(found.images) == 9
    assert len(data.read) == 2 * 8 + 9  # eight are compared, twice


def test_lazy_images_are_held_nowhere():
    found = chosen((LazyImages(lambda i: IMAGES[i], 30), LABELS))
    images, _, _ = found.of_loss("2")
    assert isinstance(found.images, LazyImages)
    assert torch.equal(images[:], IMAGES[LABELS == 2])
    assert found.description()["digest"] is None


def test_equal_images_have_equal_digests_wherever_they_come_from():
    digests = {chosen(data).description()["digest"] for data in (PAIR, WithTargets())}
    assert len(digests) == 1
    assert digests != {chosen((IMAGES + 1, LABELS)).description()["digest"]}


def test_of_all_classes_those_without_images_are_left_out_with_a_warning(caplog):
    caplog.set_level(logging.WARNING)
    gap = torch.where(LABELS == 1, 2, LABELS)
    assert list(chosen((IMAGES, gap)).losses) == ["0", "2"]
    assert caplog.messages == ["class 1 has no images and is left out"]


def test_a_named_class_without_images_is_refused():
    gap = torch.where(LABELS == 1, 2, LABELS)
    with pytest.raises(InputError, match="class 1 has no images in the data"):
        chosen((IMAGES, gap), [0, 1])


def test_no_images_of_a_class_are_refused():
    with pytest.raises(
        InputError, match="images_per_class must be an integer of at least 1, got 0"
    ):
        chosen(per_class=0)


@pytest.mark.parametrize("classes", ["all", "overall", 0])
def test_data_without_images_are_refused(classes):
    with pytest.raises(InputError, match="data hold no images"):
        chosen((IMAGES[:0], LABELS[:0]), classes)
