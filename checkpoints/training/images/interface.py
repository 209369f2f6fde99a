"""What a training asks of its images."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor


class TrainingImages(Protocol):
    """The training images of a run: what is drawn for an epoch, and the batches made of that.

    Draws come before images, and each image has a column of its own: whoever trains on a part of
    every batch draws for all, keeps the columns of the part, and gets the images that it would
    have in the whole.

    Attributes:
        device: where the batches are made.
    """

    device: torch.device

    def draw(self, sizes: Sequence[int], generator: torch.Generator) -> Tensor:
        """Return what is random about the images of consecutive batches.

        Args:
            sizes: images of each batch, summing to N.
            generator: a CPU generator.

        Returns:
            One column an image, (k, N), on the CPU.
        """

    def batches(self, order: Tensor, draws: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
        """Yield the images of consecutive batches, augmented and normalised.

        Args:
            order: positions of the images to show, int64 (n,), on the CPU.
            draws: their columns of what :meth:`draw` returned, (k, n).
            sizes: images of each batch, summing to n; a batch may have none.

        Returns:
            float32 (size, channels, h, w) for each of ``sizes``, on :attr:`device`.
        """
