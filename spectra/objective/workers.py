"""Working through chunks on several cores at once: each chunk on one core, by one thread.

A convolution of 16 channels does not fill two cores, but two chunks do; and since every chunk is
computed on one thread, results do not depend on how many there are.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from spectra.objective.images import LazyImages

# Ours: the pixels of 32 CIFAR images: enough to keep one core busy, few enough that a class of 50
# keeps two busy. On CUDA a chunk is 32 times as large. The chunk fixes the order of summation, so
# changing it moves results by rounding.
CHUNK_PIXELS = 32 * 32 * 32
CUDA_FACTOR = 32

A = TypeVar("A")
B = TypeVar("B")
_pools: dict[int, ThreadPoolExecutor] = {}


def default_micro_chunk(
    images: Tensor | LazyImages, device: torch.device | str | None = None
) -> int:
    """Return the images in one piece of work: 32 of 32x32 pixels (1024 on CUDA), 4 to 1024."""
    pixels = images.shape[-1] * images.shape[-2] if images.ndim >= 3 else 1
    factor = CUDA_FACTOR if device is not None and torch.device(device).type == "cuda" else 1
    return min(1024, max(4, factor * CHUNK_PIXELS // max(1, pixels)))


def map_in_order(function: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """Yield ``function`` of each item, in their order, on as many cores as torch has threads.

    A lone item has a single thread too: on two, its sums would be in another order. At most two
    items for each core are in work or waiting to be taken, which bounds the memory.
    """
    workers = torch.get_num_threads()
    if workers == 1:
        yield from map(function, items)
        return
    pool = one_thread_each(workers)
    waiting: deque[Future[B]] = deque()
    for item in items:
        if len(waiting) == 2 * workers:
            yield waiting.popleft().result()
        waiting.append(pool.submit(function, item))
    while waiting:
        yield waiting.popleft().result()


def one_thread_each(size: int) -> ThreadPoolExecutor:
    """Return ``size`` workers whose operations take one thread each; there is one such pool."""
    if size not in _pools:
        _pools[size] = ThreadPoolExecutor(size, thread_name_prefix="spectra")
        before, started = torch.get_num_threads(), threading.Barrier(size + 1)

        def start() -> None:
            torch.get_num_threads()  # a thread's first question resets it to what others have set
            torch.set_num_threads(1)
            started.wait()

        for _ in range(size):
            _pools[size].submit(start)
        started.wait()
        torch.set_num_threads(before)  # the workers' call reaches parts of torch that are shared
    return _pools[size]
