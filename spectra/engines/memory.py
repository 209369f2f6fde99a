"""What a run will need of memory, and what it may take."""

import logging
from dataclasses import replace

import torch

from spectra.engines.forecasts.memory_forecast import MemoryForecast, in_gib
from spectra.engines.forecasts.needed import (
    building_bytes,
    following_bytes,
    judging_bytes,
    needed_bytes,
    vector_bytes,
    wanted_vectors,
    working_bytes,
)
from spectra.engines.settings import SolverSettings
from spectra.errors import InputError
from spectra.krylov.basis import bytes_per_vector, fixed_bytes
from spectra.krylov.defaults import AUTO
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.interface import SymmetricOperator
from spectra.system.allocator import (
    available_bytes,
    collect_large_garbage,
    give_back_free_memory,
    resident_bytes,
)
from spectra.system.ranks import world_here

logger = logging.getLogger(__name__)

# Fewer vectors than this restart so often that a run takes several times as many products.
LEAST_BASIS = 12
# Ours: with so many vectors, extremes by thick restarts take little more products than without.
_ENOUGH_BASIS = 2 * LEAST_BASIS
# Ours: of a limit this part is left to the holes between an allocator's blocks.
_HOLES = 32
# Ours: what may be taken of the CPU memory that is free, which others need too, and of a card's,
# which hardly anybody shares and where an allocator's holes are left out.
CPU_SHARE, CARD_SHARE = 0.5, 0.85
# Ours: where chunks have to be made smaller, one takes this part of what is left, so that the work
# of others can be kept beside it.
_CHUNK_SHARE = 4


def default_limit(device: torch.device | str = "cpu") -> int:
    """Return what a run may take where nobody says: what is taken already, and of what is free
    half on a CPU, 85 % on a card. Ranks that share a machine's memory have equal parts of it.
    """
    device = torch.device(device)
    share = CARD_SHARE if device.type == "cuda" else CPU_SHARE / world_here().on_machine
    return resident_bytes(device) + int(share * available_bytes(device))


def forecast(
    op: SymmetricOperator,
    *,
    num_vectors: int,
    limit: int,
    basis: str = "device",
    judging: int = 0,
    following: int = 0,
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
        judging: bytes of the float64 pass that follows the run.
        following: bytes of what follows that pass, where they fit.

    Raises:
        InputError: not even one chunk and 12 vectors fit, or the float64 pass does not.
    """
    if num_vectors < 1:
        raise InputError(f"num_vectors must be at least 1, got {num_vectors}")
    collect_large_garbage(8 * getattr(op, "network_size", op.size))
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
            f"memory for one chunk and {least} vectors is {in_gib(needed)} GiB, the limit is "
            f"{in_gib(limit)} GiB; raise --memory, lower --micro-chunk, or use --basis auto"
        )
    if resident + judging > limit:
        raise InputError(
            f"memory for the float64 pass that judges the extremes is {in_gib(resident + judging)} "
            f"GiB, the limit is {in_gib(limit)} GiB; raise --memory, or leave it out: --no-proof"
        )
    fit = wanted if each == 0 else min(wanted, free // each)
    taken = fixed + fit * each
    kept = limit - resident - max(working + taken, judging, following)
    if fit < wanted:  # kept work goes first
        kept = 0
    return MemoryForecast(
        resident, working, taken, kept, limit, fit, judging, following, storage=basis
    )


def planned_memory(
    op: ChunkedOperator, settings: SolverSettings, *, limit: int | None = None
) -> MemoryForecast:
    """Say what a run by ``settings`` takes, see :func:`forecast`.

    Of basis ``auto``: the vectors are kept where the operator is if all of them fit, or a density's
    and enough for thick restarts; else in CPU memory, in half precision, or not at all.

    Args:
        op: the operator, built.
        settings: what is wanted.
        limit: bytes that may be taken in all; None: :func:`default_limit`.
    """
    limit = default_limit(op.device) if limit is None else limit
    limit -= limit // _HOLES
    wanted = wanted_vectors(settings)
    judging = judging_bytes(op, settings)
    following = following_bytes(op, settings, limit - resident_bytes(op.device))

    def planned(basis: str) -> MemoryForecast:
        return forecast(
            op,
            num_vectors=wanted,
            limit=limit,
            basis=basis,
            judging=judging,
            following=following,
        )

    if settings.basis != AUTO:
        return planned(settings.basis)
    least = min(wanted, _ENOUGH_BASIS)
    if settings.num_probes:
        least = max(least, settings.num_steps + 1)
    for basis in _storages(op, settings):
        try:
            plan = planned(basis)
        except InputError:
            continue
        if plan.max_basis >= min(least, op.size + 1):
            return plan
    return planned("none")


def _storages(op: SymmetricOperator, settings: SolverSettings) -> list[str]:
    """Return where vectors may be kept, the best place first."""
    found = ["device"]
    if op.device.type != "cpu":
        found.append("host")
    if not settings.certify_below:
        found.append("half")
    return found


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
        InputError: not even one chunk and 12 vectors fit, or not what the settings ask for: the
            float64 pass, the vectors of a density, those of ``top`` eigenpairs.
    """
    wanted = wanted_vectors(settings)
    together = op.vectors_a_pass > 1 and settings.num_probes > 1
    # Probes that step together have their vectors at once; where those do not fit, they follow each
    # other, which a limit of the basis says.
    others = (settings.num_probes - 1) * min(settings.num_steps + 1, op.size + 1) if together else 0
    plan = planned_memory(op, settings, limit=limit)
    beside = others * bytes_per_vector(op, plan.storage)
    fits = plan.max_basis >= min(wanted, op.size + 1) and plan.kept >= beside
    logger.info("memory: %s", plan.describe())
    if not fits:
        _check_few_vectors(op, settings, plan)
    op = op.with_memory_budget(plan.kept - beside if fits else plan.kept)
    if settings.basis == AUTO:
        logger.info("Lanczos vectors are kept by basis %s", plan.storage)
    fewer = None if fits or plan.storage == "none" else plan.max_basis
    if plan.storage == "none" and settings.basis == AUTO and settings.extremes_only:
        fewer = None if settings.top else LEAST_BASIS  # a run on active images would keep its own
    return op, replace(settings, max_basis=fewer, basis=plan.storage)


def check_room_to_build(
    sizes: tuple[int, int], limit: int | None, device: torch.device | str
) -> None:
    """Raise InputError where the checks of an operator would take more than may be held.

    Args:
        sizes: P, and how many numbers of the network the matrix is not by.
        limit: bytes that may be taken in all; None: whatever there is.
        device: where it is going to be.
    """
    size, held = sizes
    needed = resident_bytes(device) + building_bytes(size, held)
    if limit is not None and needed > limit:
        raise InputError(
            f"memory for building a matrix of {size:,} parameters with its checks is "
            f"{in_gib(needed)} GiB, the limit is {in_gib(limit)} GiB; raise --memory, or take the "
            "matrix by fewer of them with --parameters"
        )


def room_for(what: str, op: SymmetricOperator, limit: int | None) -> bool:
    """Say whether something that follows the float64 pass fits; log where it does not.

    Args:
        what: such as :data:`spectra.engines.forecasts.needed.BENDING`.
        op: the operator.
        limit: bytes that may be taken in all; None: :func:`default_limit`.
    """
    limit = default_limit(op.device) if limit is None else limit
    needed = resident_bytes(op.device) + needed_bytes(what, op)
    if needed > limit:
        logger.warning(
            "no %s, for which %s GiB are needed and %s may be held",
            what,
            in_gib(needed),
            in_gib(limit),
        )
    return needed <= limit


def _check_few_vectors(
    op: SymmetricOperator, settings: SolverSettings, plan: MemoryForecast
) -> None:
    """Raise InputError where a run cannot do with the vectors that there is room for."""
    steps = min(settings.num_steps, op.size)
    if settings.num_probes and plan.max_basis <= steps:
        raise InputError(
            f"a density of {steps} steps holds {steps + 1} vectors, and memory has room for "
            f"{plan.max_basis}; raise --memory, lower --num-steps, use --basis auto, or find the "
            "extremes alone with --num-probes 0"
        )
    if settings.top and plan.max_basis < 4 * settings.top + 2:
        raise InputError(
            f"{settings.top} eigenpairs at each end need {4 * settings.top + 2} vectors, and "
            f"memory has room for {plan.max_basis}; raise --memory, or lower --top"
        )


def _working_within(op: SymmetricOperator, room: int) -> int:
    """Return what the chunks in work take; on a card, smaller ones where they exceed ``room``."""
    working = working_bytes(op)
    shrink = getattr(op, "shrink_chunks", None)
    if working <= room or shrink is None or op.device.type != "cuda":
        return working
    shrink(max(0, room - vector_bytes(op)) // _CHUNK_SHARE)
    give_back_free_memory(op.device)
    return working_bytes(op)
