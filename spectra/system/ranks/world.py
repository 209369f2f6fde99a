"""Which process of a job this is, and what its processes do together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from spectra.errors import SpectraError, first_line
from spectra.system.ranks.meeting import Meeting

T = TypeVar("T")


class LostRanksError(SpectraError):
    """The processes of a job no longer reach each other, most often because one has ended."""


@dataclass(frozen=True)
class World:
    """One process of a job, a *rank*, and how many there are.

    A world of one process, which is the default, has nobody to talk to: its methods return what
    they were given and touch nothing of ``torch.distributed``. In a larger one, every rank calls
    the same methods in the same order, or all of them wait until the time is up.

    Attributes:
        rank: of this process, from 0 on.
        size: how many processes the job has.
        device: of this rank: ``cuda:LOCAL_RANK``, or the CPU.
        on_machine: how many of the processes share this machine, its cores and its memory.

    Example:
        >>> world = World()
        >>> world.add_up(torch.ones(2)), world.gather("a"), world.share(50)
        (tensor([1., 1.]), ['a'], slice(0, 50, None))
        >>> World(rank=2, size=3).share(50)
        slice(33, 50, None)
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    on_machine: int = 1
    _meeting: Meeting | None = field(default=None, repr=False, compare=False)

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which prints, draws and writes results."""
        return self.rank == 0

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum of ``values`` over all ranks, which they hold afterwards.

        The sum has the same bytes on every rank. The order of its terms is fixed for a number of
        ranks, and is another for another number.

        Args:
            values: of the same shape and dtype on every rank, contiguous; on the CPU (gloo) or on
                this rank's card (NCCL).

        Raises:
            LostRanksError: a rank does not answer.
        """
        if self.size > 1:
            with _together("add up") as dist:
                dist.all_reduce(values)
        return values

    def share_tensor(self, values: Tensor) -> Tensor:
        """Return rank 0's ``values``, which all ranks hold afterwards; see :meth:`add_up`."""
        if self.size > 1:
            with _together("copy") as dist:
                dist.broadcast(values, 0)
        return values

    def gather(self, value: T) -> list[T]:
        """Return what every rank has given, by rank. Objects travel pickled, so keep them small.

        Raises:
            LostRanksError: a rank does not answer.
        """
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        with _together("gather") as dist:
            dist.all_gather_object(found, value)
        return found

    def broadcast(self, value: T) -> T:
        """Return what rank 0 has given, pickled; what the others give is not looked at.

        Raises:
            LostRanksError: a rank does not answer.
        """
        if self.size == 1:
            return value
        held: list[Any] = [value]
        with _together("copy") as dist:
            dist.broadcast_object_list(held, 0)
        return held[0]

    def wait(self) -> None:
        """Return once every rank is here, however long they work; the dead end the job."""
        if self._meeting is not None:
            self._meeting.come_together()

    def takes(self, what: str) -> bool:
        """Say whether this rank is to do ``what``: of all ranks, the first one that asks is.

        Ranks that are done with one thing ask for the next, so that no fixed shares are needed.

        Args:
            what: names it, the same on every rank; each name is given out once in a job.
        """
        return self._meeting is None or self._meeting.first_to(f"take/{what}")

    def share(self, count: int) -> slice:
        """Return which of ``count`` things in a row are this rank's; none where there are few."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)


@contextlib.contextmanager
def _together(what: str) -> Iterator[Any]:
    """Give ``torch.distributed``, and turn what it raises into :class:`LostRanksError`."""
    import torch.distributed as dist

    try:
        yield dist
    except (RuntimeError, ValueError) as error:
        raise LostRanksError(
            f"the processes of this job could not {what} values together ({first_line(error)}); "
            "start the job again, which makes what is missing"
        ) from error
