import logging
import random

import numpy as np
import pytest
import torch
from image_data import IMAGES, LABELS, SAME_ORDER, Augmented, Items, WithTargets
from torch.utils.data import DataLoader, Dataset, Subset, WeightedRandomSampler

from spectra import InputError, LazyImages
from spectra.classes.image_source import image_source

ROOM = 2**20
SOME = torch.tensor([0, 3, 7, 29])


def source(data, **options):
    return image_source(data, **{"room": ROOM, **options})


@pytest.mark.parametrize("data", SAME_ORDER.values(), ids=SAME_ORDER)
def test_every_kind_of_data_gives_the_same_images_and_labels(data):
    found = source(data)
    assert torch.equal(found.labels, LABELS)
    assert torch.equal(found.take(SOME), IMAGES[SOME])
    assert torch.equal(found.take(torch.arange(30)), IMAGES)
    assert found.class_counts() == (11, 10, 9)


def test_lazy_images_stay_lazy():
    found = source((LazyImages(lambda i: IMAGES[i], 30), LABELS)).take(SOME)
    assert isinstance(found, LazyImages)
    assert torch.equal(found[:], IMAGES[SOME])


def test_of_named_classes_alone_images_are_kept():
    found = source(Items(), classes={2})
    of_two = torch.nonzero(LABELS == 2)[:, 0]
    assert torch.equal(found.labels, LABELS)
    assert torch.equal(found.take(of_two[3:5]), IMAGES[of_two[3:5]])


@pytest.mark.parametrize("wrapped", [False, True], ids=["a data set", "a subset of one"])
def test_where_labels_are_known_only_what_is_taken_is_read(wrapped):
    data = WithTargets()
    found = source(Subset(data, range(30)) if wrapped else data)
    data.read.clear()  # eight were compared
    found.take(SOME)
    assert data.read == SOME.tolist()


def test_wrong_targets_of_the_first_items_are_not_believed():
    data = WithTargets(labels=(LABELS + 1) % 3)
    data.labels = LABELS
    assert torch.equal(source(data).labels, LABELS)


def test_wrong_targets_of_later_items_are_an_error():
    data = WithTargets()
    data.targets[20] = 0
    message = "targets of the data set say 0 of item 20, the item says 2"
    with pytest.raises(InputError, match=message):
        source(data).take(torch.arange(30))


def test_a_loader_that_draws_by_a_sampler_is_read_as_it_comes_and_says_so(caplog):
    sampler = WeightedRandomSampler([1.0] * 30, 12, generator=torch.Generator().manual_seed(3))
    before = sampler.generator.get_state()
    loader = DataLoader(Items(), batch_size=5, sampler=sampler)
    expected = torch.cat([images for images, _ in loader])
    sampler.generator.set_state(before)
    found = source(loader)
    assert torch.equal(found.take(torch.arange(12)), expected)
    assert "draws images by WeightedRandomSampler: they are read once" in caplog.text
    assert torch.equal(sampler.generator.get_state(), before)


def test_a_loader_that_shuffles_says_that_it_is_read_in_order(caplog):
    caplog.set_level(logging.INFO)
    source(SAME_ORDER["a shuffling loader"])
    assert "images are read in the order of its data set" in caplog.text


def test_augmented_images_are_drawn_once_by_the_seed_and_said(caplog):
    first, again, other = (
        source(Augmented(), seed=seed).take(torch.arange(30)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert "gives another image each time (augmentation): one draw of each is taken" in caplog.text


def test_images_that_stay_the_same_are_not_called_augmented(caplog):
    source(Items())
    assert caplog.text == ""


def test_reading_leaves_the_random_state_as_it_was():
    states = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    source(Augmented()).take(SOME)
    source(SAME_ORDER["a shuffling loader"])
    assert states == (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )


@pytest.mark.slow
def test_workers_read_the_same_images():
    loader = DataLoader(Items(), batch_size=7, shuffle=True, num_workers=1)
    assert torch.equal(source(loader).take(torch.arange(30)), IMAGES)


def test_progress_counts_images():
    told = []
    source(SAME_ORDER["a loader"], on_progress=lambda *at: told.append(at))
    assert told == [("images", n, 30) for n in (7, 14, 21, 28, 30)]


@pytest.mark.parametrize(
    ("data", "room"),
    [(WithTargets(), 30 * 16), (Items(), 30 * 16), (SAME_ORDER["a stream"], 2 * 30 * 16)],
    ids=["known labels", "a pass", "a stream"],
)
def test_images_that_do_not_fit_are_refused(data, room):
    everything = torch.arange(30)
    source(data, room=room).take(everything)
    with pytest.raises(InputError, match="GiB may be taken; choose fewer classes, set images_per"):
        source(data, room=room - 1).take(everything)


class Endless(Dataset):
    """Items without a number."""

    def __getitem__(self, index):
        return IMAGES[index % 30], 0


@pytest.mark.parametrize(
    "images",
    [list(IMAGES), IMAGES.tolist(), tuple(IMAGES.numpy()), IMAGES.numpy().astype(">f4")],
    ids=["tensors", "numbers", "arrays", "other byte order"],
)
def test_images_in_a_list_or_of_another_byte_order_are_the_same(images):
    found = source((images, LABELS.tolist()))
    assert torch.equal(found.take(SOME).float(), IMAGES[SOME])
    assert torch.equal(found.labels, LABELS)


@pytest.mark.parametrize("label", [1, torch.tensor(1), np.int64(1)])
def test_two_items_are_no_pair_of_images_and_labels(label):
    found = source([(IMAGES[0], 0), (IMAGES[1], label)])
    assert found.labels.tolist() == [0, 1]
    assert torch.equal(found.take(torch.arange(2)), IMAGES[:2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (IMAGES, "data must be .images, labels., a Dataset .*; got Tensor"),
        ("digits", "got str"),
        ((IMAGES, LABELS[:29]), "labels must be 30, one an image, got 29"),
        ((IMAGES, LABELS.float()), "labels must be integers"),
        ([{"image": x, "tag": 0} for x in IMAGES], "with labels, got a dictionary of image, tag"),
        ([(x, 0, x) for x in IMAGES], "labels must be integers, one an image, got torch.float32"),
        ([x for x in IMAGES], "a batch must be .images, labels., or a .*, got Tensor"),
        ([(x, [0, 1]) for x in IMAGES], "labels must be integers, one an image"),
        ([("a.png", 0)] * 3, "input 0 must be a tensor, got str"),
        ([(object(), 0)] * 3, "items must be .image, label., images as tensors or arrays"),
        ([(torch.rand(2), 0), (torch.rand(3), 0)], "of one shape"),
        ([(x, -1) for x in IMAGES], "labels must not be negative"),
        ([(x[: 4 - n // 28], 0) for n, x in enumerate(IMAGES)], "of one shape .*: stack expects"),
        (DataLoader([(x[: 4 - n // 28], 0) for n, x in enumerate(IMAGES)]), "got .4,. and .3,."),
        (([IMAGES[0], IMAGES[1, :3]], [0, 1]), "images must be of one shape: stack expects"),
        ((np.array([None, "a"]), [0, 1]), "normalised floats .*, got object of shape .2,."),
        ((torch.tensor(1.0), [0]), "normalised floats .*, got torch.float32 of shape .."),
        (Endless(), "Endless must say how many items it has, by __len__"),
        (Items(IMAGES[:0], LABELS[:0]), "data hold no images"),
    ],
)
def test_data_of_another_shape_are_refused_in_one_line(data, message):
    with pytest.raises(InputError, match=message) as caught:
        source(data).take(torch.arange(1))
    assert "\n" not in str(caught.value)
