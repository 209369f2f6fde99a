import pytest
import torch
from tiny_trainings import COUNTS, SCALE, images_of
from torch import nn
from trainings_together import short, weights

from checkpoints.training.batches import Minibatch, minibatches
from checkpoints.training.images.in_memory import ImagesInMemory
from checkpoints.training.steps.interface import Batch
from spectra import make_generator
from spectra.errors import InputError
from spectra.system.ranks import World

ORDER = torch.randperm(17, generator=make_generator(0, "order"))


def epoch(world: World, size: int = 4) -> list[Minibatch]:
    data = images_of(COUNTS, 0)
    return list(
        minibatches(
            ImagesInMemory(data.images, SCALE, padding=1, flip=True),
            data.labels,
            ORDER,
            size=size,
            class_weights=torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64),
            generator=make_generator(0, "views"),
            world=world,
        )
    )


@pytest.mark.parametrize("size", [1, 4, 16, 17, 100])
@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_the_parts_of_all_ranks_are_the_images_of_the_whole_batch_in_order(size, ranks):
    parts = zip(*(epoch(World(rank, ranks), size) for rank in range(ranks)), strict=True)
    for whole, of_ranks in zip(epoch(World(), size), parts, strict=True):
        own = [part for part in of_ranks if not part.share.stands_in]
        for name in ("images", "labels", "weights", "host_labels"):
            joined = torch.cat([getattr(part, name) for part in own])
            assert torch.equal(joined, getattr(whole, name))
        for part in of_ranks:
            assert float(part.total) == float(whole.weights.sum())
            assert torch.equal(part.share.labels, whole.host_labels)
            assert part.count == len(whole.labels)


def test_a_rank_without_an_image_holds_the_first_with_weight_0():
    (*_, last) = epoch(World(0, 2))
    (*_, whole) = epoch(World())
    assert last.share.stands_in
    assert torch.equal(last.images, whole.images[:1])
    assert last.weights.tolist() == [0]


def test_a_part_of_one_image_is_too_small_for_some_norms_which_is_one_line():
    norm = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(6))
    with pytest.raises(InputError, match="rank 0 has 1 image of a batch of 3, too few for th"):
        weights(short(batch_size=3), World(0, 2), norm)


def batch(count: int) -> Batch:
    return Batch(
        torch.nn.Identity(),
        torch.arange(count, dtype=torch.float64)[:, None],
        torch.zeros(count).long(),
        torch.arange(1.0, count + 1),
        lambda outputs, _: outputs[:, 0],
    )


@pytest.mark.parametrize(("count", "sizes"), [(7, [2, 2, 3]), (2, [1, 1])])
def test_a_batch_is_cut_into_parts_that_differ_by_an_image_at_most(count, sizes):
    parts = batch(count).parts(3)
    assert [len(part.labels) for part in parts] == sizes
    total = sum(part.mean() for part in parts)
    torch.testing.assert_close(total, batch(count).mean(), rtol=1e-14, atol=0)
