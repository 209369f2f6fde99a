"""Photos as training shows them: random crops, mirrored, in other colours; drawn once, or anew."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from checkpoints.data.photos.cached import CachedPhotos, Finish
from checkpoints.data.photos.crops import change_colours, draw_views
from checkpoints.data.photos.photos import Photos
from spectra.objective.images import LazyImages


def with_views(photos: Photos, views: int, generator: torch.Generator) -> Photos:
    """Return so many random crops of each photo, one photo's beside each other, drawn now.

    Args:
        photos: some.
        views: of each.
        generator: a CPU generator.
    """
    every = photos.subset(torch.arange(len(photos)).repeat_interleave(views))
    return replace(every, draws=draw_views(len(every), generator))


def frozen(
    views: CachedPhotos, finish: Finish, device: torch.device | str, *, flip: bool
) -> LazyImages:
    """Return random crops that were drawn once, made from pixels at every product.

    Args:
        views: of :func:`with_views`.
        finish: normalises float32 (k, 3, size, size), from 0 to 255.
        device: where colours are changed.
        flip: whether half of them are mirrored.
    """
    device = torch.device(device)

    def make(which: Tensor) -> Tensor:
        return finish(_coloured(views.take(which), views.photos, which, device, flip))

    made = LazyImages(make, len(views.photos))
    return made.to(device, made.dtype)


def fresh(
    photos: CachedPhotos,
    index: Tensor,
    finish: Finish,
    generator: torch.Generator,
    device: torch.device | str,
    *,
    flip: bool,
) -> Callable[[], Tensor]:
    """Return what draws and decodes a random crop of each photo at every call.

    Args:
        photos: the split.
        index: positions in it, int64 (n,).
        finish: normalises float32 (n, 3, size, size), from 0 to 255.
        generator: of the draws, on the CPU.
        device: where colours are changed.
        flip: whether half of them are mirrored.
    """
    chosen, device = photos.photos.subset(index), torch.device(device)

    def draw() -> Tensor:
        drawn = with_views(chosen, 1, generator)
        everything = torch.arange(len(drawn))
        pixels = drawn.decoded(photos.workers)
        return finish(_coloured(pixels, drawn, everything, device, flip))

    return draw


def _coloured(
    pixels: Tensor, photos: Photos, which: Tensor, device: torch.device, flip: bool
) -> Tensor:
    """Return decoded crops mirrored and in other colours, as they were drawn."""
    assert photos.draws is not None
    return change_colours(pixels.to(device), photos.draws[:, which].to(device), flip=flip)
