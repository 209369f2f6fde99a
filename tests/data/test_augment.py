import pytest
import torch
from torch import Tensor

from checkpoints.data.augment import crop_flip, draw_batches, draw_crop_flip
from spectra import make_generator


def random_crop_flip(
    images: Tensor, *, padding: int, flip: bool, generator: torch.Generator
) -> Tensor:
    """Draw for a batch and make what was drawn."""
    drawn = draw_crop_flip(len(images), padding=padding, flip=flip, generator=generator)
    return crop_flip(images, *drawn, padding=padding)


def photograph(channels: int = 2, h: int = 4, w: int = 5) -> Tensor:
    """One image whose pixels are all different and never zero, so that a shift shows."""
    return torch.arange(1, channels * h * w + 1, dtype=torch.uint8).view(1, channels, h, w)


def every_view(image: Tensor, padding: int, *, flip: bool) -> Tensor:
    """All crops of the zero-padded image, row offset first, then, with flip, their mirrors."""
    _, c, h, w = image.shape
    padded = torch.zeros(c, h + 2 * padding, w + 2 * padding, dtype=image.dtype)
    padded[:, padding : padding + h, padding : padding + w] = image[0]
    side = range(2 * padding + 1)
    crops = [padded[:, i : i + h, j : j + w] for i in side for j in side]
    mirrors = [torch.stack([x[..., w - 1 - k] for k in range(w)], -1) for x in crops]
    return torch.stack(crops + (mirrors if flip else []))


def occurrences(images: Tensor, views: Tensor) -> Tensor:
    """How often each view occurs; an image that equals no view is an error."""
    same = (images[:, None] == views[None]).flatten(2).all(2)
    assert (same.sum(1) == 1).all()
    return same.sum(0)


@pytest.mark.parametrize(
    ("padding", "flip", "critical"),
    [(1, False, 26.12), (2, False, 51.18), (1, True, 40.79)],
    ids=["9 offsets", "25 offsets", "9 offsets x 2 mirrors"],
)
def test_every_offset_and_mirror_is_equally_likely(padding, flip, critical):
    # chi-square at p = .001 with 8, 24 and 17 degrees of freedom; the draw is fixed by its seed.
    image = photograph()
    views = every_view(image, padding, flip=flip)
    n = 400 * len(views)
    drawn = random_crop_flip(
        image.expand(n, -1, -1, -1),
        padding=padding,
        flip=flip,
        generator=make_generator(0, "augment", padding, flip),
    )
    counts = occurrences(drawn, views).double()
    assert float(((counts - 400) ** 2 / 400).sum()) < critical


def test_each_image_of_a_batch_is_a_shift_of_itself():
    images = photograph().repeat(40, 1, 1, 1) + 4 * torch.arange(40, dtype=torch.uint8).view(
        -1, 1, 1, 1
    )
    drawn = random_crop_flip(images, padding=2, flip=False, generator=make_generator(0, "shift"))
    for image, result in zip(images, drawn, strict=True):
        assert int(occurrences(result[None], every_view(image[None], 2, flip=False)).sum()) == 1


def test_flip_without_crop_gives_the_image_or_its_mirror():
    image = photograph()
    drawn = random_crop_flip(
        image.expand(64, -1, -1, -1), padding=0, flip=True, generator=make_generator(0, "flip")
    )
    assert (occurrences(drawn, every_view(image, 0, flip=True)) > 0).all()


def test_images_of_a_batch_move_independently():
    drawn = random_crop_flip(
        photograph().expand(50, -1, -1, -1),
        padding=2,
        flip=True,
        generator=make_generator(0, "independent"),
    )
    # 50 draws of 50 views: 50 (1 - (1-1/50)^50) = 32 different ones expected; 1 if all move alike
    assert len(drawn.flatten(1).unique(dim=0)) > 20


def test_no_padding_and_no_flip_is_the_identity():
    images = photograph().repeat(3, 1, 1, 1)
    drawn = random_crop_flip(images, padding=0, flip=False, generator=make_generator(0))
    assert torch.equal(drawn, images)


def test_the_same_generator_gives_the_same_views():
    images = photograph().expand(32, -1, -1, -1)
    first, second = (
        random_crop_flip(images, padding=2, flip=True, generator=make_generator(3, "same"))
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_another_generator_gives_other_views():
    images = photograph().expand(32, -1, -1, -1)
    first, second = (
        random_crop_flip(images, padding=2, flip=True, generator=make_generator(seed, "other"))
        for seed in (0, 1)
    )
    assert not torch.equal(first, second)


def test_augmentation_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    random_crop_flip(
        photograph().expand(8, -1, -1, -1), padding=2, flip=True, generator=make_generator(0)
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("padding", "flip"), [(2, True), (2, False), (0, True)])
def test_augmentation_does_not_modify_its_input(padding, flip):
    images = photograph().repeat(8, 1, 1, 1)
    kept = images.clone()
    random_crop_flip(images, padding=padding, flip=flip, generator=make_generator(0))
    assert torch.equal(images, kept)


def test_images_keep_their_type_and_shape():
    images = photograph().repeat(8, 1, 1, 1)
    drawn = random_crop_flip(images, padding=3, flip=True, generator=make_generator(0))
    assert (drawn.dtype, drawn.shape) == (images.dtype, images.shape)


@pytest.mark.parametrize(("padding", "flip"), [(2, True), (2, False), (0, True), (0, False)])
def test_the_draws_of_an_epoch_are_those_of_its_batches_one_after_the_other(padding, flip):
    options = {"padding": padding, "flip": flip}
    together, apart = make_generator(0, "epoch"), make_generator(0, "epoch")
    offsets, flipped = draw_batches([5, 5, 3], generator=together, **options)
    one_by_one = [draw_crop_flip(n, generator=apart, **options) for n in (5, 5, 3)]
    assert torch.equal(offsets, torch.cat([o for o, _ in one_by_one], 1))
    assert torch.equal(flipped, torch.cat([f for _, f in one_by_one]))
    assert torch.equal(together.get_state(), apart.get_state())
