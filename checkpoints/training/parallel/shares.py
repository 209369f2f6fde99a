"""Which part of a batch a rank has."""

from dataclasses import dataclass

from torch import Tensor

from spectra.system.ranks import World

# One process that has all images of a batch: what trains where nobody says otherwise.
ALONE = World()


@dataclass(frozen=True)
class Share:
    """The images of a batch that this rank has: some that follow each other.

    A batch of fewer images than ranks leaves some ranks without any. Such a rank works on the first
    image of the batch with weight 0, its *stand-in*, so that all ranks make the same passes and
    meet in the same sums.

    Attributes:
        part: positions in the batch; empty for a stand-in.
        labels: of the whole batch, int64, on the CPU.
    """

    part: slice
    labels: Tensor

    @property
    def stands_in(self) -> bool:
        """Whether this rank has no image of the batch."""
        return self.part.start == self.part.stop


def parts_of(count: int, number: int) -> list[slice]:
    """Return ``count`` images cut into ``number`` parts, as :meth:`World.share` cuts them.

    >>> parts_of(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return [World(rank, number).share(count) for rank in range(number)]
