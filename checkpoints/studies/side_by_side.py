"""Several pieces of work at once, each in a process of its own, which ends with this one."""

import contextlib
import logging
import logging.handlers
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar

from spectra.errors import InputError
from spectra.system.files.limits import limits_in_force, raised_limits
from spectra.system.progress import Progress

Key = TypeVar("Key")

# What is done for a key; says how far it is.
Work = Callable[[Any, Progress | None], None]

# Ours: seconds between two looks at what the processes say, and between two things that one says.
_LOOK = 0.2


class _Given(NamedTuple):
    """What a process that works for another was given: what to do, whom to tell, its limits."""

    work: Work
    said: "multiprocessing.Queue[Any]"
    limits: dict[str, int]


_given: _Given | None = None


def side_by_side(
    work: Callable[[Key, Progress | None], None],
    keys: Sequence[Key],
    *,
    jobs: int,
    after: Callable[[Key], Sequence[Key]] = lambda _: (),
    on_progress: Progress | None = None,
) -> Iterator[Key]:
    """Do ``work`` for every key, ``jobs`` at a time, and return the keys as they are finished.

    Each process is started anew, imports what it needs (some 3 s), and gets ``work`` pickled. A
    script that calls this must keep its own work below ``if __name__ == "__main__":``, as with
    every use of :mod:`multiprocessing`. Warnings that are logged there are logged here.

    The processes end at once where this one ends, however it ends, or where the caller stops
    asking for keys: what they were writing is then whole or not there, as after any kill.

    Args:
        work: a function of a module, or a :func:`functools.partial` of one, that returns nothing:
            it leaves its results in files.
        keys: what to call it with, picklable.
        jobs: how many processes.
        after: which keys may be begun once a key is finished; they come before those that wait.
        on_progress: called in this process with what they say.

    Raises:
        InputError: ``work`` cannot be handed over, or a process was killed.
        Exception: whatever ``work`` raised first; the other processes are ended.
    """
    payload = _pickled(work)
    context = multiprocessing.get_context("spawn")
    said: multiprocessing.Queue[Any] = context.Queue()
    # Whoever reads from the pipe wakes when its other end is closed, by us or by our end.
    read_end, write_end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        max_workers=jobs,
        mp_context=context,
        initializer=_begin,
        initargs=(payload, said, read_end, asdict(limits_in_force())),
    )
    try:
        ready, finished = list(keys), list[Key]()
        running: dict[Future[None], Key] = {}
        while ready or running:
            while ready and len(running) < jobs:
                key = ready.pop(0)
                running[pool.submit(_work, key)] = key
            done, _ = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
            _pass_on(said, on_progress)
            for future in done:
                future.result()
                ready[:0] = after(running[future])
                finished.append(running.pop(future))
            if ready and len(running) < jobs:
                continue  # the next begin before the caller looks at what these have left
            while finished:
                yield finished.pop(0)
    except BrokenProcessPool as error:
        raise InputError(
            "a process that worked for this one was killed, perhaps for want of memory; what was "
            "finished is kept: give the same command again, with --jobs 1 if it happens again"
        ) from error
    else:
        pool.shutdown()  # they end by themselves, and have said everything by then
        _pass_on(said, on_progress)
    finally:
        write_end.close()
        pool.shutdown(cancel_futures=True)
        read_end.close()


def _pickled(work: Work) -> bytes:
    # As bytes, so that tensors are copied: torch would move them to shared memory, which is small
    # in containers.
    try:
        return pickle.dumps(work)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            f"the data or the network cannot be handed to another process ({error}); take --jobs 1"
        ) from error


def _pass_on(said: "multiprocessing.Queue[Any]", on_progress: Progress | None) -> None:
    """Hand on what the processes have said since the last look."""
    with contextlib.suppress(queue.Empty):
        while True:
            one = said.get_nowait()
            if isinstance(one, logging.LogRecord):
                logging.getLogger(one.name).handle(one)
            elif on_progress:
                on_progress(*one)


def _begin(
    payload: bytes,
    said: "multiprocessing.Queue[Any]",
    read_end: Connection,
    limits: dict[str, int],
) -> None:
    """Prepare a process: the first thing that runs in it."""
    global _given
    threading.Thread(target=_end_with_the_other, args=(read_end,), daemon=True).start()
    # Ctrl-C reaches every process of a terminal; the one that was asked for says what is kept.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger().handlers = [logging.handlers.QueueHandler(said)]
    _given = _Given(pickle.loads(payload), said, limits)


def _end_with_the_other(read_end: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        read_end.poll(None)
    os._exit(1)


def _work(key: Any) -> None:
    if _given is None:
        raise RuntimeError("this process was given nothing to do")
    said = _given.said
    last = -_LOOK

    def tell(what: str, done: int, planned: int) -> None:
        nonlocal last
        if done == planned or time.monotonic() - last >= _LOOK:
            last = time.monotonic()
            said.put((what, done, planned))

    with raised_limits(**_given.limits):
        _given.work(key, tell)
