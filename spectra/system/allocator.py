"""Memory of a CPU or of a card: what is taken, what is free, and telling when none was left."""

import ctypes
import gc
import os
import sys
from pathlib import Path

import torch

from spectra.errors import InputError

# Ours: less than this of garbage is not missed.
_WORTH_COLLECTING = 16 * 2**20
# Ours: below it, a few holes are not missed either. M_MMAP_THRESHOLD, and what it is set to.
_WORTH_MAPPING, _MMAP_THRESHOLD, _MAPPED = 2**26, -3, 2**20
# What torch's libraries say, in a RuntimeError of no type of its own, where memory is short.
_WORDS = (
    "out of memory",  # the CUDA driver, and graph capture
    "_alloc_failed",  # cuBLAS, cuDNN, cuSOLVER, cuFFT
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",
    "could not allocate",
)


def give_back_free_memory(device: torch.device | str = "cpu") -> None:
    """Hand back to the system what this process has freed and its allocator still holds.

    Primal work is made of blocks that glibc and torch's CUDA allocator hold on to when they are
    freed: what is resident is then a third more than what is in use. Elsewhere this does nothing.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    elif sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def map_large_blocks(nbytes: int) -> None:
    """Have every block of a MiB go back to the system when it is freed, where vectors are large.

    glibc keeps freed blocks of up to 32 MiB, such as the gradients of single layers, in holes of
    its heap: a tenth to a quarter of the peak on networks of 10 to 124 million parameters. The
    price, the zeroing of pages, was not seen in the time of a product. It is a setting of the
    process, and stays. Elsewhere than with glibc this does nothing.

    Args:
        nbytes: of a vector.
    """
    if nbytes >= _WORTH_MAPPING and sys.platform == "linux":
        change = getattr(ctypes.CDLL(None), "mallopt", None)
        if change is not None:
            change(_MMAP_THRESHOLD, _MAPPED)


def collect_large_garbage(nbytes: int) -> None:
    """Free what only references in a circle hold, where tensors of ``nbytes`` each are among it.

    Traced networks are such circles. Collecting takes a tenth of a second, so it is left to Python
    where the tensors are small.
    """
    if nbytes >= _WORTH_COLLECTING:
        gc.collect()


def untouched_room() -> int:
    """Return the bytes that may be asked for at once and count only where they are written to.

    Half of the machine's memory, where the system (Linux) promises more than it has; 0 elsewhere.
    """
    policy = Path("/proc/sys/vm/overcommit_memory")
    if not policy.exists() or policy.read_text().strip() == "2":
        return 0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def out_of_memory(error: BaseException) -> bool:
    """Say whether ``error`` means that memory was short, on a card or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _WORDS)


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


def _peak_bytes() -> int:
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
