"""Joining the other processes of a job, and leaving them."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch

from spectra.errors import InputError, first_line
from spectra.system.ranks.launched import Launched, launched
from spectra.system.ranks.world import World

# Ours: seconds; the machines of a cluster start minutes apart, and each imports torch.
_MEETING = 300.0
# Ours: seconds that one rank may work while the others wait for it in a sum: an hour is more than
# a share of images takes, and ends a job that hangs.
TIMEOUT = 3600.0

_here = World()


def world_here() -> World:
    """Return which process of which job this one is; a world of one outside of :func:`joined`."""
    return _here


@contextlib.contextmanager
def joined(*, timeout: float = TIMEOUT) -> Iterator[World]:
    """Be one of the processes that ``torchrun`` has started, while the block runs.

    Tensors on the CPU travel by gloo, those on cards by NCCL. A process that nothing has launched,
    or a job of one process, is a world of one: nothing is opened and nothing waits. A block within
    another finds the same world.

    Args:
        timeout: seconds that a rank waits for the others in a sum or a copy.

    Raises:
        InputError: the environment makes no sense, there are more ranks on this machine than
            cards, or the ranks do not find each other within five minutes.

    Example:
        >>> with joined() as world:
        ...     world.rank, world.size
        (0, 1)
    """
    global _here
    given = launched(os.environ)
    if given is None or given.size == 1 or _here.size > 1:
        yield _here
        return
    import torch.distributed as dist

    device = _device(given)
    _meet(given, timeout)
    _here = World(given.rank, given.size, device, given.local_size)
    try:
        yield _here
    finally:
        _here = World()
        dist.destroy_process_group()


def _device(given: Launched) -> torch.device:
    """Return this rank's card, which ``cuda`` means from here on; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    cards = torch.cuda.device_count()
    if given.local_size > cards:
        raise InputError(
            f"{given.local_size} processes on this machine need as many cards, and torch sees "
            f"{cards}; take --nproc-per-node {cards}, or hide the cards with CUDA_VISIBLE_DEVICES="
        )
    torch.cuda.set_device(given.local_rank)
    return torch.device("cuda", given.local_rank)


def _meet(given: Launched, timeout: float) -> None:
    """Open the connections to the other ranks."""
    import torch.distributed as dist

    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]
            given.address,
            given.port,
            None if given.meets_at_agent else given.size,
            is_master=given.rank == 0 and not given.meets_at_agent,
            timeout=timedelta(seconds=_MEETING),
        )
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=dist.PrefixStore(  # type: ignore[attr-defined]
                f"spectra/{given.attempt}", store
            ),
            rank=given.rank,
            world_size=given.size,
            timeout=timedelta(seconds=timeout),
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"rank {given.rank} of {given.size} did not find the others at {given.address}:"
            f"{given.port} ({first_line(error)}); check that every machine reaches that address, "
            "and that GLOO_SOCKET_IFNAME names the network between them where there are several"
        ) from error
