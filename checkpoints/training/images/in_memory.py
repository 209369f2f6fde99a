"""Training images that lie in memory, as a tensor."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from checkpoints.data.augment import crop_flip, draw_batches
from checkpoints.data.dataset import Normalisation

# Ours: normalised images made at once. Of CIFAR that is ten batches of 128, for which the two dozen
# kernels of cropping and normalising are launched once.
PIECE_BYTES = 2**24


class ImagesInMemory:
    """Images that are cropped and flipped where they lie, several batches at once.

    Cost: two copies to the device for the whole epoch, and :data:`PIECE_BYTES` of images there, or
    one batch if that is more.

    Args:
        images: uint8 (N, channels, h, w), on the device.
        normalisation: of the images after augmentation.
        padding: see :func:`checkpoints.data.augment.draw_crop_flip`, here and below.
        flip: whether to flip.
    """

    def __init__(
        self, images: Tensor, normalisation: Normalisation, *, padding: int, flip: bool
    ) -> None:
        self.images, self.normalisation = images, normalisation
        self.padding, self.flip = padding, flip
        self.device = images.device

    def draw(self, sizes: Sequence[int], generator: torch.Generator) -> Tensor:
        """Return rows, columns and whether to flip, int64 (3, N)."""
        offsets, flipped = draw_batches(
            sizes, padding=self.padding, flip=self.flip, generator=generator
        )
        return torch.cat([offsets, flipped[None].to(offsets.dtype)])

    def batches(self, order: Tensor, draws: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
        """Yield the batches; see :class:`checkpoints.training.images.interface.TrainingImages`."""
        order, draws = order.to(self.device), draws.to(self.device)
        largest = 4 * self.images[0].numel() * max(1, *sizes)
        together = max(1, PIECE_BYTES // largest)
        start = 0
        for first in range(0, len(sizes), together):
            part = sizes[first : first + together]
            piece = slice(start, start + sum(part))
            start = piece.stop
            cropped = crop_flip(
                self.images[order[piece]],
                draws[:2, piece],
                draws[2, piece].bool(),
                padding=self.padding,
            )
            made = self.normalisation(cropped)
            if self.device.type == "cuda":
                # Cropping leaves the channels last in memory, which float32 kernels of GPUs are
                # slower with. On a CPU they stay there: another layout would be another rounding.
                made = made.contiguous()
            yield from made.split(list(part))
