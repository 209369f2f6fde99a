"""Random crops and flips: drawn on the CPU, made where the images lie."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_batches(
    sizes: Sequence[int], *, padding: int, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the draws of consecutive batches: those of :func:`draw_crop_flip` for each in turn.

    Args:
        sizes: images of each batch, summing to N.
        padding: see :func:`draw_crop_flip`, here and below.
        flip: whether to flip.
        generator: a CPU generator.

    Returns:
        Offsets (2, N) and whether to flip (N,), on the CPU.
    """
    drawn = [draw_crop_flip(n, padding=padding, flip=flip, generator=generator) for n in sizes]
    offsets, flipped = zip(*drawn, strict=True)
    return torch.cat(offsets, 1), torch.cat(flipped)


def draw_crop_flip(
    n: int, *, padding: int, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return offsets (2, n), between 0 and 2·padding, and whether to flip (n,).

    All (2·padding+1)² offsets are equally likely, and a flip has chance 1/2: torchvision's
    ``RandomCrop`` with padding, then ``RandomHorizontalFlip``, drawn for the whole batch at once.

    Args:
        n: images.
        padding: pixels; 0 for no crop.
        flip: whether to flip.
        generator: a CPU generator; the same draws serve every device.
    """
    offsets = torch.full((2, n), padding)
    if padding:
        offsets = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator)[..., 0]
    if not flip:
        return offsets, torch.zeros(n, dtype=torch.bool)
    return offsets, torch.rand(n, 1, generator=generator)[:, 0] < 0.5


def crop_flip(images: Tensor, offsets: Tensor, flipped: Tensor, *, padding: int) -> Tensor:
    """Return each image shifted and flipped as told.

    Args:
        images: uint8 (n, channels, h, w), before normalisation: the padding is black.
        offsets: first row and first column of the crop out of the padded image, int64 (2, n);
            ``padding`` leaves the image where it is.
        flipped: bool (n,).
        padding: pixels of black around an image.
    """
    n, _, h, w = images.shape
    rows = torch.arange(h, device=offsets.device) + offsets[0][:, None]
    columns = torch.arange(w, device=offsets.device) + offsets[1][:, None]
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    if padding:
        images = F.pad(images, (padding,) * 4)
    rows, columns = rows.to(images.device), columns.to(images.device)
    which = torch.arange(n, device=images.device)
    return images.permute(0, 2, 3, 1)[
        which[:, None, None], rows[:, :, None], columns[:, None, :]
    ].permute(0, 3, 1, 2)
