"""What is taken of memory, what there is, and what a run will need."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from spectra.allocator import give_back_free_memory
from spectra.basis import bytes_per_vector, fixed_bytes
from spectra.errors import InputError
from spectra.hessian import HessianOperator
from spectra.operators import SymmetricOperator
from spectra.products import exact_products

# Fewer vectors than this restart so often that a run takes several times as many products.
LEAST_BASIS = 12
# Ours: vectors in work beside a worker's own: w, its projection, start, total, two products.
_WORK_VECTORS = 6
# Ours: as much again as the primal work of a chunk, for what a product makes on its way.
_TEMPORARIES = 2
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


def resident_bytes(device: torch.device | str = "cpu") -> int:
    """Return what this process takes now of CPU memory, or of a card's memory.

    Where the system does not tell, the most that it ever took.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return _peak_bytes()


def available_bytes(device: torch.device | str = "cpu") -> int:
    """Return what may yet be taken without swapping, of CPU memory or of a card's memory."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):  # macOS knows only the second
        if name in os.sysconf_names:
            return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    raise InputError("this system does not tell how much memory is free; give --memory")


def forecast(
    op: SymmetricOperator, *, num_vectors: int, limit: int, basis: str = "device"
) -> MemoryForecast:
    """Say what a run of ``num_vectors`` Lanczos vectors takes, and adapt it to ``limit``.

    Where it does not all fit, less primal work is kept first: a product then costs 9 forward passes
    instead of 6. Where that is not enough, ``max_basis`` is less than ``num_vectors``: pass it to
    :func:`spectra.extremes.extreme_eigenpairs`, for thick restarts.

    Cost: the primal work of one chunk, which is measured.

    Args:
        op: the operator, built.
        num_vectors: Lanczos vectors wanted, one a step and one more.
        limit: bytes that may be taken in all, what is resident included: of the card's memory
            where the operator is on one.
        basis: where vectors are kept, see :data:`spectra.basis.STORAGES`.

    Raises:
        InputError: not even one chunk and 12 vectors fit.
    """
    if num_vectors < 1:
        raise InputError(f"num_vectors must be at least 1, got {num_vectors}")
    give_back_free_memory(op.device)
    resident = resident_bytes(op.device)
    working = _working_bytes(op)
    wanted = min(num_vectors, op.size + 1)
    each, fixed = bytes_per_vector(op, basis), fixed_bytes(op, basis)
    free = limit - resident - working - fixed
    least = min(LEAST_BASIS, wanted)
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


def _working_bytes(op: SymmetricOperator) -> int:
    """Return what the chunks in work take: those of each worker, waiting ones, and vectors."""
    on_many_cores = getattr(getattr(op, "_products", None), "on_many_cores", False)
    many = op.device.type == "cpu" and on_many_cores
    workers = torch.get_num_threads() if many else 1
    chunks = 2 * workers + 1
    vectors = (_WORK_VECTORS + 2 * workers) * op.size * 8
    return chunks * _TEMPORARIES * _chunk_nbytes(op) + vectors


def _chunk_nbytes(op: SymmetricOperator) -> int:
    """Return the primal work of one chunk; 0 for an operator that has no chunks."""
    measure = getattr(op, "chunk_nbytes", None)
    if measure is not None:
        return int(measure())
    if not isinstance(op, HessianOperator):
        return 0
    chunk = next(op.chunks())
    with exact_products(op.device):
        primal = op._products.linearise(op.images[chunk], op.labels[chunk], op.weights[chunk])
    return primal.nbytes


def _peak_bytes() -> int:
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _gib(count: int) -> str:
    return f"{count / _GIB:.3g}"
