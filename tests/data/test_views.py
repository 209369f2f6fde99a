import itertools

import pytest
import torch
from augmented import cut, pictures

from checkpoints.data import ImageProtocol
from spectra import InputError


@pytest.mark.parametrize("name", ["plain", "frozen:1", "frozen:16", "frozen:all", "fresh"])
def test_a_protocol_reads_its_own_name(name):
    assert ImageProtocol.parse(name).name == name


@pytest.mark.parametrize("text", ["", "frozen", "frozen:0", "frozen:-1", "frozen:x", "plain:2"])
def test_other_names_are_refused(text):
    with pytest.raises(InputError, match="plain, frozen:K, frozen:all or fresh"):
        ImageProtocol.parse(text)


@pytest.mark.parametrize("text", ["frozen:10001", "frozen:1000000000000"])
def test_more_draws_than_memory_holds_are_refused(text):
    with pytest.raises(InputError, match="K up to 10000"):
        ImageProtocol.parse(text)


def test_augmenting_by_nothing_is_refused():
    with pytest.raises(InputError, match="neither crops nor flips"):
        ImageProtocol.parse("frozen:4", crop=0, flip=False)


@pytest.mark.parametrize(("crop", "flip", "views"), [(4, True, 162), (1, False, 9), (0, True, 2)])
def test_all_views_are_every_crop_and_flip(crop, flip, views):
    assert ImageProtocol.parse("frozen:all", crop=crop, flip=flip).views == views


def shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Return the image moved by whole pixels over black, pixel by pixel."""
    out = torch.zeros_like(image)
    size = image.shape[-1]
    for i in range(size):
        for j in range(size):
            if 0 <= i - down < size and 0 <= j - right < size:
                out[:, i, j] = image[:, i - down, j - right]
    return out


def test_all_views_are_those_of_pixelwise_shifts_and_flips():
    images = pictures(2)
    views = cut(ImageProtocol.parse("frozen:all", crop=1), images)
    wanted = set()
    for k, image in enumerate(images):
        for right, down in itertools.product((-1, 0, 1), repeat=2):
            moved = shifted(image, down, right)
            wanted |= {(k, tuple(x.flatten().tolist())) for x in (moved, moved.flip(-1))}
    assert {(i // 18, tuple(v.flatten().tolist())) for i, v in enumerate(views)} == wanted


def test_every_draw_is_one_of_all_views():
    images = pictures(1)
    views = cut(ImageProtocol.parse("frozen:all", crop=1), images)
    drawn = cut(ImageProtocol.parse("frozen:200", crop=1), images)
    known = {tuple(v.flatten().tolist()) for v in views}
    assert {tuple(v.flatten().tolist()) for v in drawn} == known  # 200 draws of 18 miss none here


def test_views_of_one_image_lie_beside_each_other():
    images = torch.arange(1, 4, dtype=torch.uint8)[:, None, None, None].expand(3, 1, 6, 6)
    views = cut(ImageProtocol.parse("frozen:4", crop=1), images)
    assert views.amax((1, 2, 3)).tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_draws_depend_on_the_generator_alone():
    protocol, images = ImageProtocol.parse("frozen:3", crop=2), pictures()
    first, again = (cut(protocol, images) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, cut(protocol, images, "another"))
