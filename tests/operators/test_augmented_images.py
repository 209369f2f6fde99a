"""Operators over views that are cut when asked for, and over draws that change."""

import copy

import pytest
import torch
from augmented import cut, floats, generator, net, pictures
from oracles import dense_hessian, random_vector
from torch import nn

from checkpoints.data import ImageProtocol
from checkpoints.data.augment import crop_flip
from spectra import FreshOperator, HessianOperator, InputError, LazyImages, NonFiniteError
from spectra.operators.fresh import FreshBatches

DOUBLE = torch.float64


def operator(images: torch.Tensor, labels: torch.Tensor, model: nn.Module) -> HessianOperator:
    return HessianOperator(model, floats(images), labels, dtype=DOUBLE)


@pytest.mark.parametrize("name", ["frozen:5", "frozen:all"])
def test_views_cut_when_asked_for_give_the_bytes_of_stored_ones(name):
    model, images, labels = net(), pictures(), torch.tensor([0, 3, 1])
    protocol = ImageProtocol.parse(name, crop=1)
    many = labels.repeat_interleave(protocol.views)
    lazy = HessianOperator(
        model, protocol.frozen(images, floats, generator()), many, dtype=DOUBLE, micro_chunk=4
    )
    stored = HessianOperator(
        model, floats(cut(protocol, images)), many, dtype=DOUBLE, micro_chunk=4
    )
    v = random_vector(stored.size)
    few = torch.tensor([0, 7, 2])
    assert torch.equal(lazy.matvec(v), stored.matvec(v))
    assert torch.equal(lazy.over_images(few).matvec(v), stored.over_images(few).matvec(v))
    assert torch.equal(lazy.gradient(), stored.gradient())
    assert torch.equal(lazy.scores(), stored.scores())


def test_no_more_views_exist_at_a_time_than_are_worked_on():
    model, images, labels = net(), pictures(100), torch.arange(100) % 4
    asked: list[int] = []

    def finish(views: torch.Tensor) -> torch.Tensor:
        asked.append(len(views))
        return floats(views)

    views = ImageProtocol.parse("frozen:all", crop=1).frozen(images, finish, generator())
    op = HessianOperator(
        model, views, labels.repeat_interleave(18), dtype=DOUBLE, micro_chunk=16, memory_budget=0
    )
    assert max(asked) <= 1024 < len(views)  # all are looked at for NaN, in pieces
    asked.clear()
    op.matvec(random_vector(op.size))
    assert max(asked) == 16
    assert sum(asked) == len(views)


def test_a_lazy_image_that_is_not_finite_is_refused():
    images = LazyImages(lambda k: torch.where(k == 3, torch.nan, 1.0)[:, None], 5)
    with pytest.raises(NonFiniteError, match="images hold NaN"):
        HessianOperator(nn.Linear(1, 2), images, torch.zeros(5, dtype=torch.int64))


def test_no_lazy_images_are_refused():
    with pytest.raises(InputError, match="num_images must be at least 1"):
        LazyImages(lambda k: k[:, None].float(), 0)


def test_replacing_images_by_others_of_another_shape_is_refused():
    op = operator(pictures(), torch.tensor([0, 3, 1]), net())
    with pytest.raises(InputError, match=r"images must have float64 \(3, .*got float64 \(2,"):
        op.with_images(floats(pictures(2)))


def test_all_views_give_the_hessian_averaged_over_augmentations():
    model, images, labels = net(), pictures(), torch.tensor([0, 3, 1])
    protocol = ImageProtocol.parse("frozen:all", crop=1)
    op = operator(cut(protocol, images), labels.repeat_interleave(18), model)
    double = copy.deepcopy(model).double()
    average = torch.zeros(op.size, op.size, dtype=DOUBLE)
    for right in (0, 1, 2):
        for down in (0, 1, 2):
            for flipped in (False, True):
                offsets = torch.tensor([[down] * 3, [right] * 3])
                view = crop_flip(images, offsets, torch.tensor([flipped] * 3), padding=1)
                average += dense_hessian(double, floats(view), labels) / 18
    v = random_vector(op.size, "v")
    torch.testing.assert_close(op.matvec(v), average @ v, rtol=0, atol=1e-12)


def test_a_draw_that_stays_is_the_hessian():
    model, images, labels = net(), pictures(), torch.tensor([0, 3, 1])
    fresh = FreshOperator(operator(images, labels, model), lambda: floats(images))
    v = random_vector(fresh.size, "v")
    assert torch.equal(fresh.matvec(v), operator(images, labels, model).matvec(v))


def test_each_product_is_that_of_its_own_draw():
    model, images, labels = net(), pictures(), torch.tensor([0, 3, 1])
    protocol = ImageProtocol.parse("fresh", crop=2)
    fresh = FreshOperator(
        operator(images, labels, model), protocol.fresh(images, floats, generator())
    )
    again, v = generator(), random_vector(fresh.size, "v")
    for _ in range(3):
        expected = operator(protocol.draw(images, again), labels, model).matvec(v)
        assert torch.equal(fresh.matvec(v), expected)


def test_every_pass_over_fresh_batches_is_one_new_draw():
    count = iter(range(100))
    batches = FreshBatches(lambda: torch.full((5, 1), float(next(count))), torch.arange(5), 2)
    passes = [[(x[:, 0].tolist(), i.tolist()) for x, i in batches] for _ in range(2)]
    assert passes[0] == [([0.0, 0.0], [0, 1]), ([0.0, 0.0], [2, 3]), ([0.0], [4])]
    assert passes[1] == [([1.0, 1.0], [0, 1]), ([1.0, 1.0], [2, 3]), ([1.0], [4])]
    assert len(batches) == 3
