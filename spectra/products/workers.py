"""Working through chunks on several cores: one chunk a core, each on a single thread.

A convolution of 16 channels does not fill two cores, but two chunks do; and since every chunk is
computed on one thread, results do not depend on how many there are.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")
_pools: dict[int, ThreadPoolExecutor] = {}


def map_in_order(function: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """Yield ``function`` of each item, in their order, on as many cores as torch has threads.

    At most two items a core are in work or waiting to be taken, which bounds the memory.
    """
    workers = min(torch.get_num_threads(), len(items))
    if workers < 2:
        yield from map(function, items)
        return
    pool = _pool(torch.get_num_threads())
    waiting: deque[Future[B]] = deque()
    for item in items:
        if len(waiting) == 2 * workers:
            yield waiting.popleft().result()
        waiting.append(pool.submit(function, item))
    while waiting:
        yield waiting.popleft().result()


def _pool(size: int) -> ThreadPoolExecutor:
    if size not in _pools:
        _pools[size] = ThreadPoolExecutor(size, thread_name_prefix="spectra")
        started = threading.Barrier(size + 1)

        def start() -> None:
            torch.set_num_threads(1)
            started.wait()

        for _ in range(size):
            _pools[size].submit(start)
        started.wait()
        torch.set_num_threads(size)  # the workers' call reaches parts of torch that are shared
    return _pools[size]
