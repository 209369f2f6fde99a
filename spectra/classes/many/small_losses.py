"""Which losses are small, and how many of them are analyzed at once within the memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from spectra.engines.forecasts.needed import BENDING, BOOTSTRAP
from spectra.engines.memory import default_limit, planned_memory, room_for
from spectra.engines.settings import SolverSettings
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.hessian import HessianOperator
from spectra.system.allocator import resident_bytes

# Ours: of fewer losses, what side by side saves is seconds, and they keep the bytes that they have
# had one after the other.
MANY = 32
# What results say of a loss that was analyzed so, beside how its products were made.
ON_ONE_CORE = "one core a loss"
# Ours: of its Lanczos vectors a small loss makes some 20 to 40, whatever its limit is; room for
# twice as many is asked for.
_VECTORS = 80


@dataclass(frozen=True)
class Room:
    """What small losses may take of memory, each.

    Attributes:
        workers: how many of them are analyzed at once.
        kept: bytes of primal work that each may keep.
        settings: what is computed of each.
        bootstrap: whether there is room for the bootstrap over its images.
    """

    workers: int
    kept: int
    settings: SolverSettings
    bootstrap: bool


def are_many(number: int, settings: SolverSettings) -> bool:
    """Say whether small ones among so many losses are to be analyzed side by side.

    What reads the network anew for each loss goes the usual way: layers, counted eigenpairs, the
    search for a stationary point.
    """
    more = settings.per_layer or settings.top or settings.stationary or settings.certify_below
    return (
        number >= MANY
        and settings.engine == "spectra"
        and settings.density_images == "all"
        and not more
    )


def is_small(op: ChunkedOperator) -> bool:
    """Say whether a loss would keep one core busy at most: its images make one chunk.

    So it is on a CPU, and of a network whose chunks are worked on by one thread each.
    """
    alone = isinstance(op, HessianOperator) and op.world.size == 1
    return alone and op.on_many_cores and op.num_images <= op.micro_chunk


def room_beside(op: HessianOperator, settings: SolverSettings, limit: int | None) -> Room | None:
    """Return what losses like ``op`` may take when several are analyzed at once.

    Cost: the primal work of one chunk, which is measured.

    Args:
        op: one of them, as large as the others or larger.
        settings: what is wanted of each.
        limit: bytes that may be taken in all; None: see
            :func:`spectra.engines.memory.default_limit`.

    Returns:
        None: they do not fit without restarts, and go the usual way.
    """
    limit = default_limit(op.device) if limit is None else limit
    plan = planned_memory(op, settings, limit=limit)
    if plan.max_basis < min(max(settings.num_steps, settings.max_steps), op.size + 1):
        return None
    chunk = op.chunk_nbytes()
    vectors = min(_VECTORS, plan.max_basis) * plan.basis // max(1, plan.max_basis)
    # Kept work in both precisions, a chunk in work beside it, and the vectors.
    each = max(plan.working + vectors, plan.judging) + 3 * chunk
    free = limit - resident_bytes(op.device)
    workers = max(1, min(torch.get_num_threads(), free // max(1, each)))
    bending = settings.bending and room_for(BENDING, op, limit)
    return Room(
        workers=workers,
        kept=chunk,
        settings=replace(settings, bending=bending),
        bootstrap=room_for(BOOTSTRAP, op, limit),
    )
