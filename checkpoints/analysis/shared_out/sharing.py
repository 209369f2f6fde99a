"""What each rank of a job does of an analysis, so that one process finds it finished."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from checkpoints.choices import IMAGES, SHARED_OUT
from spectra.classes.each_loss import Prepare, PreparedLoss
from spectra.errors import InputError, NonFiniteError
from spectra.operators.hessian import HessianOperator
from spectra.results.provenance import CheckpointIdentity
from spectra.system.ranks import World, check_same, world_here

T = TypeVar("T")
logger = logging.getLogger(__name__)


def shared_out(do: Callable[[Sharing | None], T], what: str) -> T | None:
    """Do a piece of work with all ranks of this job, and return what rank 0 finds.

    The ranks leave each loss's result in a folder that all of them see; then rank 0 does the work
    as if it had been interrupted, and finds every loss done. So its result has the bytes of one
    process's, where the losses are what is shared out.

    Args:
        do: the work, which keeps what it has finished in files; called with None where one process
            is to do it, or to find it done.
        what: ``losses`` or ``images``, see :class:`Sharing`.

    Returns:
        What ``do`` returns; None on every rank but the first.

    Raises:
        InputError: there is no such thing to share out.

    Example:
        >>> shared_out(lambda sharing: sharing, "losses") is None  # a world of one shares nothing
        True
    """
    if what not in SHARED_OUT:
        raise InputError(f"share must be one of {', '.join(SHARED_OUT)}, got {what!r}")
    world = world_here()
    if world.size == 1:
        return do(None)
    try:
        do(Sharing(world, what))
    except NonFiniteError:  # of losses: rank 0, which finds the others done, says it below
        if what == IMAGES:
            raise
    world.wait()
    return do(None) if world.first else None


@dataclass(frozen=True)
class Sharing:
    """How the ranks of a job share an analysis out.

    ``losses``: each rank takes a loss, analyzes it alone, keeps the result, and takes the next;
    the largest come first, so that none is left to the end. ``images``: all ranks work on one loss
    together, each on its images, and rank 0 keeps the result.

    Attributes:
        world: the ranks.
        what: ``losses`` or ``images``.
        part: names the analysis among those of the job.
    """

    world: World
    what: str
    part: str = ""
    _taken: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)
    _compared: list[str] = field(default_factory=list, repr=False, compare=False)

    def of(self, part: str) -> Sharing:
        """Return the same of another analysis, such as of another checkpoint."""
        return replace(self, part=f"{self.part}/{part}", _taken={})

    def check_same(
        self, checkpoint: CheckpointIdentity, test_digest: str | None, versions: Mapping[str, str]
    ) -> None:
        """Raise InputError, on every rank, where one was given something else than rank 0.

        Of the first analysis of a job alone: for every later one, ranks would wait for each other.
        """
        if self._compared:
            return
        self._compared.append(self.part)
        facts = {
            "weights": checkpoint.digest,
            "training images": checkpoint.data,
            "test images": test_digest,
            "versions of libraries": dict(versions),
        }
        check_same(self.world, facts)

    @property
    def of_images(self) -> bool:
        """Whether all ranks work on one loss together."""
        return self.what == IMAGES

    @property
    def keeps(self) -> bool:
        """Whether this rank keeps the results of what it works on."""
        return not self.of_images or self.world.first

    def takes(self, label: str) -> bool:
        """Say whether this rank works on a loss; asked again, it says the same."""
        if self.of_images:
            return True
        if label not in self._taken:
            self._taken[label] = self.world.takes(f"{self.part}/{label}")
        return self._taken[label]

    def agreed(self, value: T) -> T:
        """Return what rank 0 knows, where all ranks have to go on with the same."""
        return self.world.broadcast(value) if self.of_images else value

    def in_turn(
        self, losses: Mapping[str, tuple[int, ...]], counts: Sequence[int]
    ) -> dict[str, tuple[int, ...]]:
        """Return the losses in the order in which they are taken: those of most images first.

        Args:
            losses: label of each and its classes.
            counts: n_c, images of each class.
        """
        if self.of_images:
            return dict(losses)
        if len(losses) < self.world.size and self.world.first and not self.part:
            logger.warning(
                "%d losses for %d processes: the others have nothing to do; --share images shares "
                "out the images of each loss",
                len(losses),
                self.world.size,
            )
        images = {label: sum(counts[c] for c in classes) for label, classes in losses.items()}
        return dict(sorted(losses.items(), key=lambda item: -images[item[0]]))

    def preparing(self, prepare: Prepare) -> Prepare:
        """Return what builds the Hessian of a loss over the images of all ranks, or of this one."""

        def prepared(
            label: str,
            classes: tuple[int, ...],
            *,
            check: bool,
            like: HessianOperator | None = None,
        ) -> PreparedLoss:
            loss = prepare(label, classes, check=check, like=like)
            return replace(loss, op=loss.op.over_ranks(self.world)) if self.of_images else loss

        return prepared
