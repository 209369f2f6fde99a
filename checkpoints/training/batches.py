"""The batches of one epoch: drawn on the CPU, made where the run trains."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from checkpoints.training.images.interface import TrainingImages
from checkpoints.training.parallel.shares import ALONE, Share
from spectra.system.ranks import World


@dataclass(frozen=True)
class Minibatch:
    """The images of one step, or the part of them that this rank has.

    Attributes:
        images: float32 (n, channels, h, w), augmented and normalised.
        labels: int64 (n,), on the device of the images.
        weights: w_i of their losses, float32 (n,), there too.
        host_labels: the labels once more, on the CPU: what they say costs no synchronisation.
        total: Σ w_i over the whole batch, a number, there too; None where the batch is whole.
        share: which part of the batch it is; None where it is whole.
    """

    images: Tensor
    labels: Tensor
    weights: Tensor
    host_labels: Tensor
    total: Tensor | None = None
    share: Share | None = None

    @property
    def count(self) -> int:
        """Images of the whole batch."""
        return len(self.labels) if self.share is None else len(self.share.labels)


def minibatches(
    images: TrainingImages,
    labels: Tensor,
    order: Tensor,
    *,
    size: int,
    class_weights: Tensor,
    generator: torch.Generator,
    world: World = ALONE,
) -> Iterator[Minibatch]:
    """Yield the images in ``order``, ``size`` at a time; the last batch may be ragged.

    Of several ranks, each gets its part of every batch. All that is random is drawn for whole
    batches on every rank, so that an image looks the same whatever their number is.

    Args:
        images: makes them on the device.
        labels: of all training images, int64 (N,), on the CPU.
        order: positions of the images to show, int64, on the CPU.
        size: images a batch.
        class_weights: w_c, shape (C,), on the CPU.
        generator: a CPU generator. It is drawn from before the first batch is yielded.
        world: the ranks that share every batch.
    """
    sizes = [min(size, len(order) - start) for start in range(0, len(order), size)]
    host_labels = labels[order]
    host_weights = class_weights.to(torch.float32)[host_labels]
    draws = images.draw(sizes, generator)
    there, weights = (t.to(images.device) for t in (host_labels, host_weights))
    parts = [world.share(n) for n in sizes]
    # A rank without images of a batch holds its first, to stand in.
    held = [part if part.start < part.stop else slice(0, 1) for part in parts]
    starts = list(itertools.accumulate(sizes[:-1], initial=0))
    mine = torch.cat(
        [torch.arange(at + h.start, at + h.stop) for at, h in zip(starts, held, strict=True)]
    )
    made = images.batches(order[mine], draws[:, mine], [h.stop - h.start for h in held])
    for shown, at, n, part, h in zip(made, starts, sizes, parts, held, strict=True):
        here, whole = slice(at + h.start, at + h.stop), slice(at, at + n)
        batch = Minibatch(shown, there[here], weights[here], host_labels[here])
        if world.size > 1:
            batch = replace(
                batch,
                weights=batch.weights if h is part else torch.zeros_like(batch.weights),
                total=weights[whole].sum(),
                share=Share(part, host_labels[whole]),
            )
        yield batch
