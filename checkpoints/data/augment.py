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
    n, _, h, w = images.shape
    rows = torch.arange(h).expand(n, h)
    columns = torch.arange(w).expand(n, w)
    if padding:
        offsets = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator)
        rows, columns = rows + offsets[0], columns + offsets[1]
        images = F.pad(images, (padding,) * 4)
    if flip:
        flipped = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    which = torch.arange(n, device=images.device)
    return images.permute(0, 2, 3, 1)[
        which[:, None, None], rows[:, :, None], columns[:, None, :]
    ].permute(0, 3, 1, 2)
