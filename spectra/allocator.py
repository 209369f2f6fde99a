"""Memory that is free within the process, and telling when there was none left."""

import ctypes
import sys

import torch

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


def out_of_memory(error: BaseException) -> bool:
    """Say whether ``error`` means that memory was short, on a card or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _WORDS)
