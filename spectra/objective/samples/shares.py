"""Which of a loss's images each rank of a job works on, and how what they find is put together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor

from spectra.system.ranks import World

_ALONE = World()


class SharedImages:
    """n images in a row, of which every rank works on as many as the others, or one less.

    Each rank knows labels and weights of all images, and makes or holds the images themselves; it
    works on a part of them that lies together. Sums over images are sums over each rank's part,
    added up over the ranks, so that all of them go on from the same bytes.

    Attributes:
        labels: of all images, (n,).
        micro_chunk: images in one piece of work.
        device: where the work is done.
    """

    labels: Tensor
    micro_chunk: int
    device: torch.device
    _world: World = _ALONE

    def _copied(self, **changes: Any) -> Self:
        raise NotImplementedError

    @property
    def world(self) -> World:
        """The ranks that share the images out; a world of one where nobody does."""
        return self._world

    def over_ranks(self, world: World) -> Self:
        """Return the same over images that the ranks of ``world`` share out.

        All ranks must hold the same loss, and ask the same of it in the same order: every sum waits
        for all of them. What comes out has the same bytes on every rank, and differs from that of
        one rank by rounding.
        """
        return self._copied(_world=world)

    def on_this_rank(self) -> Self:
        """Return the same over all images, worked on by this rank alone."""
        return self.over_ranks(_ALONE)

    @property
    def num_images(self) -> int:
        """Number of frozen images, those of all ranks."""
        return len(self.labels)

    @property
    def own_images(self) -> slice:
        """Positions of the images that this rank works on: all, or its share; maybe none."""
        return self._world.share(self.num_images)

    def chunks(self) -> Iterator[slice]:
        """Yield this rank's constant micro-chunks in index order; the last one may be ragged."""
        own = self.own_images
        for start in range(own.start, own.stop, self.micro_chunk):
            yield slice(start, min(start + self.micro_chunk, own.stop))

    def _of_all(self, own: Tensor) -> Tensor:
        """Return numbers of all images, (..., n), of those of this rank's images, (..., k)."""
        if self._world.size == 1:
            return own
        whole = own.new_zeros((*own.shape[:-1], self.num_images))
        whole[..., self.own_images] = own
        return self._world.add_up(whole)

    def _sum(self, numbers: list[Tensor]) -> float:
        """Return the sum of numbers of this rank's chunks, in their order, over all ranks."""
        own: float = sum(torch.stack(numbers).tolist()) if numbers else 0.0
        if self._world.size == 1:
            return own
        summed = torch.tensor([own], dtype=torch.float64, device=self.device)
        return float(self._world.add_up(summed))
