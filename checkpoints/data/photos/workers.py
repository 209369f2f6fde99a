"""Worker processes that open, decode and hash image files, while this one does something else."""

import atexit
import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from checkpoints.data.photos.decoding import (
    Decode,
    Decoded,
    Digest,
    Fault,
    Look,
    decode,
    digests,
    look,
)
from spectra.errors import InputError
from spectra.system.troubles import usable_cores

WORKERS_VARIABLE = "SPECTRA_WORKERS"
# Ours: beyond that, one process that hands out the work is what everybody waits for.
MOST_WORKERS = 16
# Ours: images in one piece of work: 5 MB of 224 x 224 pixels, a third of a second to decode.
PIECE = 32
# Ours: pieces that each worker has before it: two batches of 256 with eight workers.
_AHEAD = 2
# Ours: a worker takes three seconds to start, in which this process decodes as many images itself,
# or opens so many times that number.
_WORTH_STARTING, _OPENED_MEANWHILE = 256, 40

# Ours: seconds that a worker outlives a signal that asks it to end.
_OUTLIVES = 1.0

_ACTIONS: dict[type, Callable[[Any], Any]] = {Decode: decode, Look: look, Digest: digests}


def default_workers() -> int:
    """Return how many processes decode where nobody says: ``SPECTRA_WORKERS``, else the cores.

    Of several processes that ``torchrun`` starts on one machine, each takes its part of the cores.

    Raises:
        InputError: the variable is no number.
    """
    given = os.environ.get(WORKERS_VARIABLE)
    if given is None:
        local = os.environ.get("LOCAL_WORLD_SIZE", "1")
        here = int(local) if local.isdecimal() else 1
        return max(1, min(MOST_WORKERS, usable_cores() // max(1, here)))
    if not given.isdecimal() or int(given) > 1024:
        raise InputError(f"{WORKERS_VARIABLE} must be a number from 0 to 1024, got {given!r}")
    return int(given)


class Workers:
    """Processes that work through pieces and hand them back in order, whoever is done first.

    They are started when there is work for them, stay for the next, and end with this process. How
    many there are changes no byte.

    Args:
        count: how many; 0: this process does it itself; None: see :func:`default_workers`.
        pinned: hand back images in memory that a CUDA device copies from while it computes.
    """

    def __init__(self, count: int | None = None, *, pinned: bool = False) -> None:
        self.count = default_workers() if count is None else count
        self.pinned = pinned
        self._pieces = _Pieces()
        self._call = 0
        self._loader: DataLoader[Any] | None = None

    @overload
    def map(self, work: Sequence[Decode]) -> Iterator[Decoded]: ...
    @overload
    def map(self, work: Sequence[Look]) -> Iterator[tuple[Fault, ...]]: ...
    @overload
    def map(self, work: Sequence[Digest]) -> Iterator[tuple[bytes | None, ...]]: ...
    def map(self, work: Sequence[Any]) -> Iterator[Any]:
        """Yield what becomes of each piece, in their order; some are worked on ahead.

        A call that is not taken to its end is given up when the next one begins.

        Raises:
            InputError: a worker was killed.
        """
        few = sum(map(_effort, work)) < _WORTH_STARTING
        if self.count == 0 or (few and self._loader is None):
            yield from map(_act, work)
            return
        self._pieces.work = work
        self._call += 1
        call = self._call
        try:
            for made in self._begun():
                yield made
                if call != self._call:  # the processes are at other work by now
                    return
        except (RuntimeError, EOFError, OSError) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            self._loader = None
            raise InputError(
                "a process that decodes images ended (out of memory, or killed); use fewer with "
                f"{WORKERS_VARIABLE}, or 0 for none"
            ) from error

    def _begun(self) -> Iterator[Any]:
        """Begin with the pieces, in processes that are there or are started."""
        with warnings.catch_warnings(), _main_left_alone():
            # Of more processes than cores, which is what somebody asked for.
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            if self._loader is None:
                self._loader = DataLoader(
                    _Actions(),
                    batch_size=None,
                    sampler=self._pieces,
                    num_workers=self.count,
                    prefetch_factor=_AHEAD,
                    persistent_workers=True,
                    pin_memory=self.pinned,
                    multiprocessing_context="spawn",
                    collate_fn=_as_it_is,
                    generator=torch.Generator(),  # else torch's own is drawn from
                    worker_init_fn=_end_after_the_others,
                )
            return iter(self._loader)


@contextlib.contextmanager
def _main_left_alone() -> Iterator[None]:
    """Start processes that do not run the caller's script once more, which they have no use for.

    A process that is spawned imports what ``__main__`` says it was made of; a script that trains
    without ``if __name__ == "__main__":`` would begin to train in every one of them. Ctrl-C, which
    reaches all processes of a command, is left to the caller: what is blocked here is so in them.
    """
    main = sys.modules["__main__"]
    said = vars(main)
    made_of = dict(said)
    blocked = None
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        said["__spec__"] = None
        said.pop("__file__", None)
        yield
    finally:
        said.update({name: made_of[name] for name in ("__spec__", "__file__") if name in made_of})
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _end_after_the_others(_: int) -> None:
    """Let the process that has the work done end by a signal first.

    SIGTERM of Slurm's ``scancel`` reaches all processes of a command at once; one that decodes
    would be taken for one that was killed. It is also how they are ended when all is done.
    """
    if hasattr(signal, "setitimer"):  # not on Windows
        # Not by the signal itself, which torch reports as the end of a process that was killed.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.signal(signal.SIGTERM, lambda *_: signal.setitimer(signal.ITIMER_REAL, _OUTLIVES))
        atexit.register(os._exit, 0)  # before Python's own end, which takes a while, undoes these


class _Actions(Dataset[Any]):
    """Does a piece of work where another data set returns an item."""

    def __getitem__(self, piece: Any) -> Any:
        return _act(piece)


class _Pieces(Sampler[Any]):
    """The pieces of the call that is under way."""

    work: Sequence[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.work)

    def __len__(self) -> int:
        return len(self.work)


def _act(piece: Any) -> Any:
    return _ACTIONS[type(piece)](piece)


def _effort(piece: Any) -> float:
    """Return how many images decoding takes as long as a piece of work."""
    decodes = isinstance(piece, Decode) or (isinstance(piece, Look) and piece.decode)
    return len(piece.paths) / (1 if decodes else _OPENED_MEANWHILE)


def _as_it_is(made: Any) -> Any:
    return made
