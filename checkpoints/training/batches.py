"""The batches of one epoch: drawn on the CPU, made where the run trains."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.training.images.interface import TrainingImages


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
    images: TrainingImages,
    labels: Tensor,
    order: Tensor,
    *,
    size: int,
    class_weights: Tensor,
    generator: torch.Generator,
) -> Iterator[Minibatch]:
    """Yield the images in ``order``, ``size`` at a time; the last batch may be ragged.

    Args:
        images: makes them on the device.
        labels: of all training images, int64 (N,), on the CPU.
        order: positions of the images to show, int64, on the CPU.
        size: images a batch.
        class_weights: w_c, shape (C,), on the CPU.
        generator: a CPU generator. It is drawn from before the first batch is yielded.
    """
    sizes = [min(size, len(order) - start) for start in range(0, len(order), size)]
    host_labels = labels[order]
    host_weights = class_weights.to(torch.float32)[host_labels]
    draws = images.draw(sizes, generator)
    there, weights = (t.to(images.device) for t in (host_labels, host_weights))
    start = 0
    for made in images.batches(order, draws, sizes):
        here = slice(start, start + len(made))
        start = here.stop
        yield Minibatch(made, there[here], weights[here], host_labels[here])
