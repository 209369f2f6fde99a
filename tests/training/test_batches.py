import pytest
import torch
from tiny_trainings import SCALE, images_of

from checkpoints.data.augment import crop_flip, draw_crop_flip
from checkpoints.training.batches import minibatches
from checkpoints.training.images import in_memory
from spectra import make_generator

COUNTS = (9, 5, 3)
CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
VIEWS = {"padding": 1, "flip": True}


def epoch(size: int, order: torch.Tensor):
    data = images_of(COUNTS, 0)
    return list(
        minibatches(
            in_memory.ImagesInMemory(data.images, SCALE, **VIEWS),
            data.labels,
            order,
            size=size,
            class_weights=CLASS_WEIGHTS,
            generator=make_generator(0, "views"),
        )
    )


ORDER = torch.randperm(17, generator=make_generator(0, "order"))


# 17 images of 16 pixels and 4 bytes: pieces of one batch, of two, and of all.
@pytest.mark.parametrize("piece", [1, 600, 2**24])
@pytest.mark.parametrize("size", [4, 17, 100])
def test_batches_are_those_made_one_by_one_from_the_same_draws(monkeypatch, piece, size):
    monkeypatch.setattr(in_memory, "PIECE_BYTES", piece)
    data, generator = images_of(COUNTS, 0), make_generator(0, "views")
    found = epoch(size, ORDER)
    wanted = ORDER.split(size)
    assert len(found) == len(wanted)
    for batch, which in zip(found, wanted, strict=True):
        drawn = draw_crop_flip(len(which), generator=generator, **VIEWS)
        views = SCALE(crop_flip(data.images[which], *drawn, padding=1))
        assert torch.equal(batch.images, views)
        assert batch.images.stride() == views.stride()  # another layout would be other rounding


def test_labels_and_weights_are_those_of_the_images():
    labels = images_of(COUNTS, 0).labels[ORDER]
    for batch, y in zip(epoch(5, ORDER), labels.split(5), strict=True):
        assert torch.equal(batch.labels, y)
        assert torch.equal(batch.host_labels, y)
        assert torch.equal(batch.weights, CLASS_WEIGHTS.float()[y])


def test_an_image_may_be_shown_more_than_once():
    order = torch.tensor([3, 3, 16, 3])
    labels = torch.cat([batch.labels for batch in epoch(3, order)])
    assert labels.tolist() == [0, 0, 2, 0]


def test_pieces_hold_no_more_than_is_allowed(monkeypatch):
    made = []

    def watched(images, *drawn, **options):
        made.append(len(images))
        return crop_flip(images, *drawn, **options)

    monkeypatch.setattr(in_memory, "crop_flip", watched)
    monkeypatch.setattr(in_memory, "PIECE_BYTES", 600)  # nine images, so two batches of four
    epoch(4, ORDER)
    assert made == [8, 8, 1]


def test_a_part_of_every_batch_has_the_images_that_it_has_in_the_whole():
    data = images_of(COUNTS, 0)
    source = in_memory.ImagesInMemory(data.images, SCALE, **VIEWS)
    sizes = [4, 4, 4, 4, 1]
    draws = source.draw(sizes, make_generator(0, "views"))
    whole = list(source.batches(ORDER, draws, sizes))
    second = torch.cat([torch.arange(2, 4) + 4 * i for i in range(4)])  # of two ranks, the last
    part = list(source.batches(ORDER[second], draws[:, second], [2, 2, 2, 2, 0]))
    assert [len(batch) for batch in part] == [2, 2, 2, 2, 0]
    for batch, of_all in zip(part, whole, strict=True):
        assert torch.equal(batch, of_all[2:])
