"""The batches of one epoch: drawn on the CPU, copied to the device once, made there in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.data.augment import crop_flip, draw_batches
from checkpoints.data.dataset import Normalisation

# Ours: normalised images made at once. Of CIFAR that is ten batches of 128, for which the two dozen
# kernels of cropping and normalising are launched once.
PIECE_BYTES = 2**24


@dataclass(frozen=True)
class Minibatch:
    """The images of one step.

    Attributes:
        images: float32 (n, channels, h, w), augmented and normalised.
        labels: int64 (n,), on the device of the images.
        weights: w_i of their losses, float32 (n,), there too.
        host_labels: the labels once more, on the CPU: what they say costs no synchronisation.
    """

    images: Tensor
    labels: Tensor
    weights: Tensor
    host_labels: Tensor


def minibatches(
    images: Tensor,
    labels: Tensor,
    order: Tensor,
    *,
    size: int,
    class_weights: Tensor,
    normalisation: Normalisation,
    padding: int,
    flip: bool,
    generator: torch.Generator,
) -> Iterator[Minibatch]:
    """Yield the images in ``order``, ``size`` at a time; the last batch may be ragged.

    Cost: five copies to the device for the whole epoch, and :data:`PIECE_BYTES` of images there,
    or one batch if that is more.

    Args:
        images: uint8 (N, channels, h, w), on the device.
        labels: int64 (N,), on the CPU.
        order: positions of the images to show, int64, on the CPU.
        size: images a batch.
        class_weights: w_c, shape (C,), on the CPU.
        normalisation: of the images after augmentation.
        padding: see :func:`checkpoints.data.augment.draw_crop_flip`, here and below.
        flip: whether to flip.
        generator: a CPU generator. It is drawn from before the first batch is yielded.
    """
    sizes = [min(size, len(order) - start) for start in range(0, len(order), size)]
    host_labels = labels[order]
    host_weights = class_weights.to(torch.float32)[host_labels]
    views = draw_batches(sizes, padding=padding, flip=flip, generator=generator)
    device = images.device
    order, there, weights, offsets, flipped = (
        t.to(device) for t in (order, host_labels, host_weights, *views)
    )
    step = size * max(1, PIECE_BYTES // (4 * images[0].numel() * size))
    for start in range(0, len(order), step):
        piece = slice(start, start + step)
        cropped = crop_flip(
            images[order[piece]], offsets[:, piece], flipped[piece], padding=padding
        )
        made = normalisation(cropped)
        if device.type == "cuda":
            # Cropping leaves the channels last in memory, which float32 kernels of GPUs are slower
            # with. On a CPU they stay there: another layout would be another rounding.
            made = made.contiguous()
        for i in range(0, len(made), size):
            here = slice(start + i, start + i + size)
            yield Minibatch(made[i : i + size], there[here], weights[here], host_labels[here])
