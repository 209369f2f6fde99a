"""What the phases of a run need of memory beside what is taken when they begin.

Counted in vectors of float64, 8 P bytes each, and in the primal work of a chunk. Measured on fully
connected networks, a GPT-2 and a vision transformer of 22 to 124 million parameters, on a CPU;
``docs/how-to/large-networks.md`` has the table.
"""

from __future__ import annotations

import math

import torch

from spectra.engines.forecasts.memory_forecast import MemoryForecast
from spectra.engines.forecasts.planned_products import BOOTSTRAP_IMAGES, USUAL_STEPS
from spectra.engines.own import LEAST_ACTIVE
from spectra.engines.settings import SolverSettings
from spectra.krylov.basis import bytes_per_vector
from spectra.krylov.basis.device import first_room
from spectra.objective.short_memory import chunk_share
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.hessian import HessianOperator
from spectra.operators.interface import SymmetricOperator

# Of each phase, and the same where batch norms are folded into weights, which holds W' and its
# factors beside the network and makes more on the way.
#
# While an operator is built and checked: the network in float64, gradient, direction and product
# that are compared, and two more products beside them; and where nothing is known of the network
# yet, the graphs of a gradient, which may be as large as it.
_BUILDING, _GRAPHS = (8, 15), 3
# While Lanczos runs and its ends are made vectors, beside a worker's own two: the sum, both ends,
# and what a product holds on its way.
_WORK = (3, 6)
# While both ends are judged in float64: the network, both ends, the sum, and what a product holds;
# for each further eigenpair four.
_JUDGING, _A_PAIR = (7, 17), 4
# What follows where there is room for it, both ends and the gradient included; of a search, its
# longest Lanczos run, 200 steps, and what is beside it.
BOOTSTRAP, BENDING = "bootstrap over the images", "measure of what bending does"
SEARCH = "search for a stationary point"
_FOLLOWING = {BOOTSTRAP: (11, 19), BENDING: (14, 18), SEARCH: (230, 240)}
# Ours: vectors of a usual run on active images, its model, and a subspace of ten in float64 with
# their products.
_ACTIVE = 100
# Ours: vectors in work beside those of Lanczos, less those that there are while room grows.
_IN_WORK_LESS = 8
# In float64, chunks of a sixteenth of the images and twice the bytes, at least one image.
_IMAGES_LESS, _WIDER = 16, 2


def building_bytes(size: int, held: int = 0) -> int:
    """Return what building an operator of ``size`` parameters with its checks takes at most.

    Args:
        size: P.
        held: numbers of the network that the matrix is not by: in float32 and in float64.
    """
    return (_BUILDING[0] + _GRAPHS) * 8 * size + (4 + 8) * held


def usual_peak(op: ChunkedOperator, settings: SolverSettings, plan: MemoryForecast) -> int:
    """Return the most that is going to be taken at a time, kept work left out, in bytes.

    Of building, of Lanczos with as many vectors as runs usually make, of the float64 pass, and of
    what follows.

    Args:
        op: the operator, built.
        settings: of the solver.
        plan: for both.
    """
    each = bytes_per_vector(op, plan.storage)
    of_density = settings.num_steps if settings.num_probes else 0
    usual = max(of_density, min(settings.max_steps, USUAL_STEPS)) + 1
    in_few = plan.max_basis < min(wanted_vectors(settings), op.size + 1)
    if settings.on_active_images and not in_few:
        usual = max(usual, _ACTIVE)
    usual = min(usual, plan.max_basis)
    if plan.storage == "device" and not in_few and usual > first_room(op):
        # While room for 32 becomes room for 64, the 32 are held twice, and less is in work.
        usual = max(usual, 2 ** (usual - 1).bit_length() - _IN_WORK_LESS)
    basis = plan.basis - (plan.max_basis - min(usual, plan.max_basis)) * each
    building = _in_float64(op, _of_phase(op, _BUILDING))
    in_turn = max(plan.working + basis, plan.judging, plan.following, building)
    return plan.resident + in_turn


def wanted_vectors(settings: SolverSettings) -> int:
    """Return how many Lanczos vectors a run may come to hold."""
    wanted = max(settings.num_steps, settings.max_steps)
    return max(wanted, LEAST_ACTIVE) if settings.on_active_images else wanted


def working_bytes(op: SymmetricOperator) -> int:
    """Return what the chunks in work take, and the vectors beside them.

    One chunk where they are worked through one after the other, on a card say; else those of each
    worker and waiting ones.
    """
    workers = _workers(op)
    chunks = min(2 * workers + 1, _chunks(op)) if workers > 1 else 1
    in_work = chunks * chunk_share(op.vectors_a_pass) * _chunk_nbytes(op)
    return math.ceil(in_work) + vector_bytes(op)


def vector_bytes(op: SymmetricOperator) -> int:
    """Return what the vectors in work take, those of a basis left out."""
    return (_of_phase(op, _WORK) + 2 * _workers(op)) * op.size * 8


def judging_bytes(op: ChunkedOperator, settings: SolverSettings) -> int:
    """Return what judging the extremes in float64 takes: a network, its pass, and the vectors."""
    if not settings.proof:
        return 0
    return _in_float64(op, _of_phase(op, _JUDGING) + _A_PAIR * 2 * settings.top)


def needed_bytes(what: str, op: SymmetricOperator) -> int:
    """Return what :data:`BOOTSTRAP`, :data:`BENDING` or :data:`SEARCH` takes."""
    if isinstance(op, ChunkedOperator):
        return _in_float64(op, _of_phase(op, _FOLLOWING[what]))
    return _FOLLOWING[what][0] * 8 * op.size


def following_bytes(op: ChunkedOperator, settings: SolverSettings, room: int) -> int:
    """Return what is needed by what follows the float64 pass, as far as it fits into ``room``."""
    if not isinstance(op, HessianOperator):
        return 0
    asked = []
    if settings.proof and 2 <= op.num_images <= BOOTSTRAP_IMAGES:
        asked.append(BOOTSTRAP)
    if settings.bending:
        asked.append(BENDING)
    needed = [needed_bytes(what, op) for what in asked]
    return max((nbytes for nbytes in needed if nbytes <= room), default=0)


def _in_float64(op: ChunkedOperator, vectors: int) -> int:
    """Return the bytes of so many vectors, and of a chunk in float64."""
    if op.dtype == torch.float64:
        in_work = float(_chunk_nbytes(op))
    else:
        one, all_of_them = op.chunk_nbytes(images=1), _chunk_nbytes(op)
        more = min(op.micro_chunk, op.num_images) - 1
        each = max(0, all_of_them - one) / max(1, more)
        in_work = _WIDER * (one + each * max(0, op.micro_chunk // _IMAGES_LESS - 1))
    held = op.network_size - op.size  # which the matrix is not by
    numbers = vectors * op.size + held
    return math.ceil(chunk_share(op.vectors_a_pass) * in_work) + 8 * numbers


def _of_phase(op: SymmetricOperator, vectors: tuple[int, int]) -> int:
    """Return the vectors of a phase: the second number where products have norms folded in."""
    return vectors[bool(getattr(getattr(op, "_products", None), "folds_norms", False))]


def _workers(op: SymmetricOperator) -> int:
    """Return how many chunks are worked on at once."""
    return min(torch.get_num_threads(), _chunks(op)) if getattr(op, "on_many_cores", False) else 1


def _chunks(op: SymmetricOperator) -> int:
    return -(-op.num_images // op.micro_chunk) if isinstance(op, ChunkedOperator) else 1


def _chunk_nbytes(op: SymmetricOperator) -> int:
    """Return the primal work of one chunk; 0 for an operator that has no chunks."""
    measure = getattr(op, "chunk_nbytes", None)
    return 0 if measure is None else int(measure())
