"""What the jobs run on and how: checkpoints with their classes, and settings."""

from collections.abc import Callable
from dataclasses import dataclass

from cli.bench.comparison.product_table import LARGEST_PEER_BATCH
from cli.bench.workload import Workload
from spectra import HessianOperator


@dataclass(frozen=True)
class Stage:
    """One checkpoint and its classes.

    Attributes:
        name: as tables show it.
        digest: of the weights.
        classes: label of each class.
        workload: builds the loss of a label.
    """

    name: str
    digest: str
    classes: tuple[int, ...]
    workload: Callable[[int], Workload]


@dataclass(frozen=True)
class JobSettings:
    """How jobs are run.

    Attributes:
        peer_batch: images that a peer takes at a time; None: all, up to 128.
        micro_chunk: images that we take at a time; None: our default.
        memory_budget: bytes for our kept primal work.
        seed: of start vectors.
        protocol_images: PyHessian's loops are counted on classes of at most so many images; None:
            on all.
    """

    peer_batch: int | None
    micro_chunk: int | None
    memory_budget: int
    seed: int
    protocol_images: int | None = None


def build_operator(workload: Workload, settings: JobSettings, *, check: bool) -> HessianOperator:
    """Return our operator as a job uses it."""
    return workload.operator(
        micro_chunk=settings.micro_chunk, memory_budget=settings.memory_budget, check=check
    )


def peer_batch(workload: Workload, settings: JobSettings) -> int:
    """Return the images that a peer takes at a time."""
    return settings.peer_batch or min(len(workload), LARGEST_PEER_BATCH)
