"""Seconds that work takes on a device, which a GPU answers before it has done it."""

import time
from collections.abc import Callable

import torch


def synchronise(device: torch.device | str) -> None:
    """Wait until the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device | str) -> float:
    """Do ``work`` and return its seconds, those that ``device`` takes to end it included."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start
