"""Training images that lie in files: cropped while they are decoded, coloured on the device."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from checkpoints.data.dataset import Normalisation
from checkpoints.data.photos.crops import CROP_ROWS, change_colours, draw_views
from checkpoints.data.photos.photos import Photos, checked
from checkpoints.data.photos.workers import Workers


class ImagesInFiles:
    """Images that worker processes decode ahead of the batches that they are for.

    Random crops are drawn here, cut by whoever decodes, and flipped and coloured on the device.

    Args:
        photos: the training images.
        normalisation: of the images after augmentation.
        flip: whether half of them are mirrored.
        device: where the batches go.
        workers: decode.
    """

    def __init__(
        self,
        photos: Photos,
        normalisation: Normalisation,
        *,
        flip: bool,
        device: torch.device,
        workers: Workers,
    ) -> None:
        self.photos, self.normalisation, self.flip = photos, normalisation, flip
        self.device, self.workers = device, workers

    def draw(self, sizes: Sequence[int], generator: torch.Generator) -> Tensor:
        """Return what :func:`checkpoints.data.photos.crops.draw_views` does, for all images."""
        return draw_views(sum(sizes), generator)

    def batches(self, order: Tensor, draws: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
        """Yield the batches; see :class:`checkpoints.training.images.interface.TrainingImages`.

        Raises:
            InputError: an image cannot be decoded.
        """
        work = self.photos.to_decode(order, draws[:CROP_ROWS])
        pieces = checked(self.photos, self.workers.map(work))
        draws = draws.to(self.device)
        waiting = torch.zeros((0, *self.photos.shape), dtype=torch.uint8, device=self.device)
        start = 0
        for size in sizes:
            parts = [waiting]
            held = len(waiting)
            while held < size:
                images = next(pieces).images.to(self.device, non_blocking=True)
                parts.append(images)
                held += len(images)
            decoded = torch.cat(parts)
            waiting = decoded[size:]
            columns = draws[:, start : start + size]
            start += size
            coloured = change_colours(decoded[:size], columns, flip=self.flip)
            yield self.normalisation(coloured)
