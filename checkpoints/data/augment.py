"""Random crop and flip on a batch of tensors, on its device, from an explicit generator."""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_crop_flip(
    images: Tensor, *, padding: int, flip: bool, generator: torch.Generator
) -> Tensor:
    """Return each image shifted by up to ``padding`` pixels and flipped with chance 1/2.

    Zero padding, all (2·padding+1)² offsets equally likely: torchvision's ``RandomCrop`` with
    padding, then ``RandomHorizontalFlip``, drawn for the whole batch at once.

    Args:
        images: uint8 (n, channels, h, w), before normalisation: the padding is black.
        padding: pixels; 0 for no crop.
        flip: whether to flip.
        generator: a CPU generator; the same draws serve every device.
    """
    offsets, flipped = draw_crop_flip(len(images), padding=padding, flip=flip, generator=generator)
    return crop_flip(images, offsets, flipped, padding=padding)


def draw_crop_flip(
    n: int, *, padding: int, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return offsets (2, n), between 0 and 2·padding, and whether to flip (n,)."""
    offsets = torch.full((2, n), padding)
    if padding:
        offsets = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator)[..., 0]
    if not flip:
        return offsets, torch.zeros(n, dtype=torch.bool)
    return offsets, torch.rand(n, 1, generator=generator)[:, 0] < 0.5


def crop_flip(images: Tensor, offsets: Tensor, flipped: Tensor, *, padding: int) -> Tensor:
    """Return each image shifted and flipped as told.

    Args:
        images: uint8 (n, channels, h, w).
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
