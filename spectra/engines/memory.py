"""What a run will need of memory, and what it may take."""

import logging
import math
from dataclasses import dataclass, replace

import torch

from spectra.engines.settings import SolverSettings
from spectra.errors import InputError
from spectra.krylov.basis import bytes_per_vector, fixed_bytes
from spectra.objective.short_memory import chunk_share
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.interface import SymmetricOperator
from spectra.system.allocator import available_bytes, give_back_free_memory, resident_bytes

logger = logging.getLogger(__name__)

# Fewer vectors than this restart so often that a run takes several times as many products.
LEAST_BASIS = 12
# Ours: vectors in work beside a worker's own: w, its projection, start, total, two products.
_WORK_VECTORS = 6
# Ours: what may be taken of the CPU memory that is free, which others need too, and of a card's,
# which hardly anybody shares and where an allocator's holes are left out.
CPU_SHARE, CARD_SHARE = 0.5, 0.85
# Ours: where chunks have to be made smaller, one takes this part of what is left, so that the work
# of others can be kept beside it.
_CHUNK_SHARE = 4
_GIB = 2**30


@dataclass(frozen=True)
class MemoryForecast:
    """What a run is going to take, in bytes of CPU memory, or of the card's where it runs on one.

    Attributes:
        resident: taken already: libraries, network, images.
        working: by the chunks in work at once.
        basis: by the Lanczos vectors, as many as are wanted or fit.
        kept: left for primal work that is kept between products; 0 or more.
        limit: what may be taken in all.
        max_basis: Lanczos vectors that fit when no primal work is kept; those wanted where they
            all do.
    """

    resident: int
    working: int
    basis: int
    kept: int
    limit: int
    max_basis: int

    @property
    def total(self) -> int:
        """Bytes in all, at most ``limit``."""
        return self.resident + self.working + self.basis + self.kept

    def describe(self) -> str:
        """Return one line for people."""
        return (
            f"{_gib(self.resident)} resident + {_gib(self.working)} working + "
            f"{_gib(self.basis)} basis ({self.max_basis} vectors) + {_gib(self.kept)} kept work "
            f"= {_gib(self.total)} of {_gib(self.limit)} GiB"
        )


def default_limit(device: torch.device | str = "cpu") -> int:
    """Return what a run may take where nobody says: what is taken already, and of what is free
    half on a CPU, 85 % on a card.
    """
    device = torch.device(device)
    share = CARD_SHARE if device.type == "cuda" else CPU_SHARE
    return resident_bytes(device) + int(share * available_bytes(device))


def forecast(
    op: SymmetricOperator, *, num_vectors: int, limit: int, basis: str = "device"
) -> MemoryForecast:
    """Say what a run of ``num_vectors`` Lanczos vectors takes, and adapt it to ``limit``.

    Where it does not all fit, less primal work is kept first: a product then costs 9 forward passes
    instead of 6. Where that is not enough, ``max_basis`` is less than ``num_vectors``: pass it to
    :func:`spectra.extreme_eigenpairs`, for thick restarts. On a card, chunks that are too
    large for 12 vectors to fit beside one are made smaller before anything is refused.

    Cost: the primal work of one chunk, which is measured.

    Args:
        op: the operator, built; on a card its chunks may be made smaller.
        num_vectors: Lanczos vectors wanted, one a step and one more.
        limit: bytes that may be taken in all, what is resident included: of the card's memory
            where the operator is on one.
        basis: where vectors are kept, see :data:`spectra.krylov.defaults.STORAGES`.

    Raises:
        InputError: not even one chunk and 12 vectors fit.
    """
    if num_vectors < 1:
        raise InputError(f"num_vectors must be at least 1, got {num_vectors}")
    give_back_free_memory(op.device)
    resident = resident_bytes(op.device)
    wanted = min(num_vectors, op.size + 1)
    each, fixed = bytes_per_vector(op, basis), fixed_bytes(op, basis)
    least = min(LEAST_BASIS, wanted)
    # A card's chunks leave room for all vectors if they can: a restart costs more than they do.
    room = limit - resident - fixed - wanted * each
    if room <= 0:
        room = limit - resident - fixed - least * each
    working = _working_within(op, room)
    free = limit - resident - working - fixed
    if free < least * each or free < 0:
        needed = resident + working + fixed + least * each
        raise InputError(
            f"memory for one chunk and {least} vectors is {_gib(needed)} GiB, the limit is "
            f"{_gib(limit)} GiB; raise --memory, lower --micro-chunk, or use --basis none"
        )
    fit = wanted if each == 0 else min(wanted, free // each)
    taken = fixed + fit * each
    kept = limit - resident - working - taken
    if fit < wanted:  # kept work goes first
        kept = 0
    return MemoryForecast(resident, working, taken, kept, limit, fit)


def within_limit(
    op: ChunkedOperator, settings: SolverSettings, *, limit: int | None = None
) -> tuple[ChunkedOperator, SolverSettings]:
    """Return the operator with what memory is left for kept work, and settings for the rest.

    Cost: see :func:`forecast`.

    Args:
        op: the operator, built with nothing to keep.
        settings: what is wanted; their ``max_basis`` is what is returned.
        limit: bytes that may be taken in all; None: :func:`default_limit`.

    Raises:
        InputError: not even one chunk and 12 vectors fit.
    """
    limit = default_limit(op.device) if limit is None else limit
    wanted = max(settings.num_steps, settings.max_steps)
    together = op.vectors_a_pass > 1 and settings.num_probes > 1
    # Probes that step together have their vectors at once; where those do not fit, they follow each
    # other, which a limit of the basis says.
    others = (settings.num_probes - 1) * min(settings.num_steps + 1, op.size + 1) if together else 0
    plan = forecast(op, num_vectors=wanted, limit=limit, basis=settings.basis)
    beside = others * bytes_per_vector(op, settings.basis)
    fits = plan.max_basis >= min(wanted, op.size + 1) and plan.kept >= beside
    logger.info("memory: %s", plan.describe())
    op = op.with_memory_budget(plan.kept - beside if fits else plan.kept)
    return op, replace(settings, max_basis=None if fits else plan.max_basis)


def _working_within(op: SymmetricOperator, room: int) -> int:
    """Return what the chunks in work take; on a card, smaller ones where they exceed ``room``."""
    working = _working_bytes(op)
    shrink = getattr(op, "shrink_chunks", None)
    if working <= room or shrink is None or op.device.type != "cuda":
        return working
    shrink(max(0, room - _vector_bytes(op)) // _CHUNK_SHARE)
    give_back_free_memory(op.device)
    return _working_bytes(op)


def _working_bytes(op: SymmetricOperator) -> int:
    """Return what the chunks in work take, and vectors beside them.

    One chunk where they are worked through one after the other, on a card say; else those of each
    worker and waiting ones.
    """
    workers = _workers(op)
    chunks = 2 * workers + 1 if workers > 1 else 1
    in_work = chunks * chunk_share(op.vectors_a_pass) * _chunk_nbytes(op)
    return math.ceil(in_work) + _vector_bytes(op)


def _vector_bytes(op: SymmetricOperator) -> int:
    return (_WORK_VECTORS + 2 * _workers(op)) * op.size * 8


def _workers(op: SymmetricOperator) -> int:
    """Return how many chunks are worked on at once."""
    return torch.get_num_threads() if getattr(op, "on_many_cores", False) else 1


def _chunk_nbytes(op: SymmetricOperator) -> int:
    """Return the primal work of one chunk; 0 for an operator that has no chunks."""
    measure = getattr(op, "chunk_nbytes", None)
    return 0 if measure is None else int(measure())


def _gib(count: int) -> str:
    return f"{count / _GIB:.3g}"
