"""Joining the other processes of a job, and leaving them."""

import contextlib
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch

from spectra.errors import InputError, SpectraError, first_line
from spectra.system.files.lock import Job, holding_for
from spectra.system.ranks.launched import Launched, launched
from spectra.system.ranks.meeting import FAILED, LEFT, TOLD, Meeting
from spectra.system.ranks.watching import Heartbeats
from spectra.system.ranks.world import LostRanksError, World

# Ours: seconds; the machines of a cluster start minutes apart, and each imports torch.
_MEETING = 300.0
# Ours: seconds that one rank may work while the others wait for it in a sum: an hour is more than
# a share of images takes, and ends a job that hangs.
TIMEOUT = 3600.0

_here = World()


class SaidElsewhereError(SpectraError):
    """This rank ends because another one does, and that one says why."""


def world_here() -> World:
    """Return which process of which job this one is; a world of one outside of :func:`joined`."""
    return _here


@contextlib.contextmanager
def joined(*, timeout: float = TIMEOUT) -> Iterator[World]:
    """Be one of the processes that ``torchrun`` has started, while the block runs.

    Tensors on the CPU travel by gloo, those on cards by NCCL. A process that nothing has launched,
    or a job of one process, is a world of one: nothing is opened and nothing waits. A block within
    another finds the same world.

    All ranks live or end together. Each says every half second that it lives; 30 s after the last
    word of one, the others end with exit code 2, one of them having said in a line which it was.
    Where a block fails, one rank raises what is to be said, and the others
    :class:`SaidElsewhereError`.

    Folders that rank 0 holds (:func:`spectra.system.files.lock.locked`) are open to all of them.

    Args:
        timeout: seconds that a rank waits for the others in a sum or a copy.

    Raises:
        InputError: the environment makes no sense, there are more ranks on this machine than
            cards, or the ranks do not find each other within five minutes; or a rank has died.
        SaidElsewhereError: another rank says why the job ends.

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
    meeting, beats = _meet(given, timeout)
    _here = World(given.rank, given.size, device, given.local_size, meeting)
    try:
        job = Job(_here.broadcast(uuid.uuid4().hex), first=_here.first)
        with holding_for(job):
            yield _here
            meeting.come_together()
    except BaseException as error:
        with _undisturbed():
            _leave(meeting, beats, error)
        raise
    else:
        meeting.say(LEFT)
        beats.stop()
        beats.leave()
        dist.destroy_process_group()
    finally:
        _here = World()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Have signals that ask the process to end change nothing in the block: it is ending.

    torchrun sends one as soon as a rank has died, while this one finds out which it was.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # else it was none of Python's, and cannot be put back
                signal.signal(number, handler)


def _leave(meeting: Meeting, beats: Heartbeats, error: BaseException) -> None:
    """Leave the others after a failure; raise what this rank is to end with, if not ``error``."""
    told = isinstance(error, KeyboardInterrupt | LostRanksError)
    try:
        meeting.say(TOLD if told else FAILED)
        beats.stop()
        if not told:
            if meeting.first_to("speak"):
                return
            raise SaidElsewhereError("another rank has said why this job ends") from error
        found = beats.dead_at_the_end()
        if found and meeting.first_to("speak"):
            raise InputError(beats.obituary(found)) from error
        alone = not found and FAILED not in meeting.states()
        if alone and meeting.first_to("speak"):
            return
    except RuntimeError:  # the place where ranks meet is gone
        return
    finally:
        beats.leave()
    raise SaidElsewhereError("another rank says why this job ends") from error


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


def _meet(given: Launched, timeout: float) -> tuple[Meeting, Heartbeats]:
    """Open the connections to the other ranks."""
    import torch.distributed as dist

    names: Any = dist  # which exports its stores without saying so
    try:
        store = names.TCPStore(
            given.address,
            given.port,
            None if given.meets_at_agent else given.size,
            is_master=given.rank == 0 and not given.meets_at_agent,
            wait_for_workers=False,
            timeout=timedelta(seconds=_MEETING),
        )
        store = names.PrefixStore(f"spectra/{given.attempt}", store)
        meeting = Meeting(store, given.rank, given.size)
        beats = Heartbeats(meeting)
        _await_all(meeting)
        beats.start()
        try:
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=names.PrefixStore("sums", store),
                rank=given.rank,
                world_size=given.size,
                timeout=timedelta(seconds=timeout),
            )
            meeting.come_together()
        except BaseException:
            beats.stop()
            beats.leave()
            raise
    except SpectraError:
        raise
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"rank {given.rank} of {given.size} did not find the others at {given.address}:"
            f"{given.port} ({first_line(error)}); check that every machine reaches that address, "
            "and that GLOO_SOCKET_IFNAME names the network between them where there are several"
        ) from error
    return meeting, beats


def _await_all(meeting: Meeting) -> None:
    """Return once every rank has begun; say which has not where this one is told to end."""
    try:
        absent = meeting.all_here(_MEETING)
    except KeyboardInterrupt as error:
        absent = meeting.absent()
        if signal.SIGTERM not in error.args or not absent:
            raise
        line = (
            f"{_named(absent)} ended before joining the others; what it said, if anything, stands "
            "above, and torchrun's report below says how it ended"
        )
        raise _of_one(meeting, line) from error
    if absent:
        line = (
            f"{_named(absent)} did not come within {_MEETING:.0f} s; start as many processes as "
            "torchrun was told, on every machine, and look at what the machine of the missing says"
        )
        raise _of_one(meeting, line)


def _of_one(meeting: Meeting, line: str) -> SpectraError:
    """Return what this rank ends with, so that one of all says a line."""
    if meeting.first_to("speak"):
        return InputError(line)
    return SaidElsewhereError("another rank says why this job ends")


def _named(ranks: list[int]) -> str:
    return " and ".join(f"rank {rank}" for rank in ranks)
