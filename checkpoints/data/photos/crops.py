"""Random resized crops, flips and colour jitter: drawn in one place, made in two.

The crop is cut by whoever decodes the file, out of the pixels that it needs; flip and colours are
changed on the device, a batch at once. A draw does not know how large its image is, since nobody
has opened the file yet: it says everything as fractions.
"""

import functools
import itertools
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Of torchvision's RandomResizedCrop, which the published code uses: areas and ratios of width to
# height, and how often a box that does not fit is drawn again.
SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10
# ColorJitter(0.4, 0.4, 0.4, 0) of the published code for ImageNet-LT and iNaturalist 2018.
JITTER = 0.4
# Of a draw: areas, ratios, top and left for the crop; flip, three factors and their order.
CROP_ROWS = 2 * ATTEMPTS + 2
ROWS = CROP_ROWS + 5
# Grey, as Pillow and torchvision weigh it (ITU-R 601-2).
_GREY = (0.299, 0.587, 0.114)
_ORDERS = tuple(itertools.permutations(range(3)))


def draw_views(n: int, generator: torch.Generator) -> Tensor:
    """Return what is random about n views, one column each: float32 (:data:`ROWS`, n) in [0, 1).

    Args:
        n: images.
        generator: a CPU generator; every image takes the same number of draws from it.
    """
    return torch.rand(n, ROWS, generator=generator).T


def crop_box(draw: npt.NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) that a draw cuts out of an image.

    Args:
        draw: the first :data:`CROP_ROWS` numbers of a column of :func:`draw_views`.
        width: of the image, pixels.
        height: of it.

    Source: ``RandomResizedCrop`` of torchvision. Departure: all ten attempts are drawn beforehand,
    so that the size of one image changes the draws of no other.
    """
    shapes = zip(draw[:ATTEMPTS].tolist(), draw[ATTEMPTS : 2 * ATTEMPTS].tolist(), strict=True)
    low, high = (math.log(r) for r in RATIO)
    for u, v in shapes:
        area = (SCALE[0] + u * (SCALE[1] - SCALE[0])) * width * height
        ratio = math.exp(low + v * (high - low))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            down, right = draw[2 * ATTEMPTS : CROP_ROWS].tolist()
            top, left = int(down * (height - h + 1)), int(right * (width - w + 1))
            return left, top, left + w, top + h
    w = min(width, round(height * RATIO[1]))
    h = min(height, round(width / RATIO[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


@functools.lru_cache(maxsize=16)
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the orders of the three blends and the weights of grey: kept, for uploads wait."""
    return torch.tensor(_ORDERS, device=device), torch.tensor(_GREY, device=device).view(1, 3, 1, 1)


def change_colours(images: Tensor, draws: Tensor, *, flip: bool) -> Tensor:
    """Return crops flipped, and with other brightness, contrast and saturation.

    Args:
        images: uint8 (n, 3, h, w).
        draws: their columns of :func:`draw_views`, float32 (:data:`ROWS`, n), on the same device.
        flip: whether half of them are mirrored.

    Returns:
        float32 (n, 3, h, w), from 0 to 255.

    Source: ``ColorJitter`` of torchvision: three blends, by factors in [0.6, 1.4], in random order.
    Departure: nothing is rounded to whole numbers between two blends.
    """
    made = images.float()
    mirrored, factors, order = draws[CROP_ROWS], draws[CROP_ROWS + 1 : ROWS - 1], draws[ROWS - 1]
    if flip:
        made = torch.where((mirrored < 0.5)[:, None, None, None], made.flip(3), made)
    known, grey = _constants(images.device)
    orders = known[(order * len(known)).long()]
    for k in range(3):
        kind = orders[:, k]
        strength = 1 + JITTER * (2 * factors.gather(0, kind[None])[0] - 1)
        shades = (made * grey).sum(1, keepdim=True)
        still = shades.mean((2, 3), keepdim=True)
        kinds = kind[:, None, None, None]
        other = torch.where(kinds == 0, 0.0, torch.where(kinds == 1, still, shades))
        made = other.lerp(made, strength[:, None, None, None]).clamp(0, 255)
    return made
