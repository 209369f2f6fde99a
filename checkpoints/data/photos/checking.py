"""Which image files are missing, broken or there twice, found before hours are spent on them."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from checkpoints.data.photos.decoding import Digest, Fault
from checkpoints.data.photos.photos import Photos
from checkpoints.data.photos.workers import PIECE, Workers
from spectra.system.foreign_text import printable
from spectra.system.progress import Progress

# Ours: files whose ends are compared in one piece of work.
_COMPARED = 8 * PIECE


class Place(NamedTuple):
    """Where a list names an image."""

    split: str
    path: str
    label: int

    def __str__(self) -> str:
        return f"{printable(self.path)} ({self.split}, class {self.label})"


@dataclass(frozen=True)
class Duplicate:
    """One image that lists name more than once.

    Attributes:
        places: where: one path several times, or several files of the same bytes.
    """

    places: tuple[Place, ...]

    def __str__(self) -> str:
        named = " = ".join(map(str, self.places))
        splits, labels = ({getattr(p, name) for p in self.places} for name in ("split", "label"))
        unusual = [
            *(["in both splits"] if len(splits) > 1 else []),
            *(["with different labels"] if len(labels) > 1 else []),
        ]
        return f"{named}: {' and '.join(unusual)}" if unusual else named


@dataclass(frozen=True)
class PhotoCheck:
    """What was found of the image files that lists name.

    Attributes:
        files: how many there are, each counted once.
        decoded: all of each was decoded, not its header alone.
        faults: files that cannot be used, in the order of the lists.
        duplicates: images that are there more than once.
        seconds: that looking took; of that, ``comparing`` for duplicates.
        comparing: see ``seconds``.
    """

    files: int
    decoded: bool
    faults: tuple[Fault, ...]
    duplicates: tuple[Duplicate, ...]
    seconds: float
    comparing: float

    def lines(self) -> list[str]:
        """Return a line for every fault and every duplicate, for a file."""
        return [
            *(f"{printable(fault.path)}: {printable(fault.why)}" for fault in self.faults),
            *(f"twice: {duplicate}" for duplicate in self.duplicates),
        ]


def check_photos(
    splits: Mapping[str, Photos],
    *,
    decode: bool = False,
    duplicates: bool = True,
    workers: Workers | None = None,
    on_progress: Progress | None = None,
) -> PhotoCheck:
    """Look at every image file of some splits.

    Cost: a header of each file; with ``decode`` all of it; for duplicates its size and, where
    another file has the same one, its last 16 KiB, and all of it where these agree too.

    Args:
        splits: by name, with one root.
        decode: whether all of each file is decoded: finds what ends too early.
        duplicates: whether to look for images that are there more than once.
        workers: processes that look; None: as many as there are cores.
        on_progress: called with (what is done, files done, files in all).
    """
    workers = workers or Workers()
    root = next(iter(splits.values()))
    paths = tuple(dict.fromkeys(path for split in splits.values() for path in split.paths))
    every = replace(root, paths=paths, labels=torch.zeros(len(paths), dtype=torch.int64))
    begun = time.perf_counter()
    faults: list[Fault] = []
    work, done = every.to_look_at(decode=decode), 0
    for piece, found in zip(work, workers.map(work), strict=True):
        faults += found
        done += len(piece.paths)
        if on_progress:
            on_progress("decoding" if decode else "looking", done, len(paths))
    looked = time.perf_counter()
    twice: tuple[Duplicate, ...] = ()
    if duplicates:
        broken = {fault.path for fault in faults}
        twice = _duplicates(splits, every, broken, workers)
    ended = time.perf_counter()
    return PhotoCheck(len(paths), decode, tuple(faults), twice, looked - begun, ended - looked)


def _duplicates(
    splits: Mapping[str, Photos], every: Photos, broken: set[str], workers: Workers
) -> tuple[Duplicate, ...]:
    places = defaultdict(list)
    for name, split in splits.items():
        for path, label in zip(split.paths, split.labels.tolist(), strict=True):
            places[path].append(Place(name, path, label))
    alike = [[path] for path, there in places.items() if len(there) > 1]
    sizes = zip(every.paths, every.file_sizes(), strict=True)
    candidates = _groups((nbytes, path) for path, nbytes in sizes if path not in broken)
    for whole in (False, True):
        some = [(k, path) for k, group in enumerate(candidates) for path in group]
        work = [
            Digest(str(every.root), tuple(path for _, path in some[i : i + _COMPARED]), whole)
            for i in range(0, len(some), _COMPARED)
        ]
        found = [digest for piece in workers.map(work) for digest in piece]
        candidates = _groups(
            ((group, digest), path)
            for (group, path), digest in zip(some, found, strict=True)
            if digest is not None
        )
    return tuple(
        Duplicate(tuple(place for path in group for place in places[path]))
        for group in (*alike, *candidates)
    )


def _groups(keyed: Iterable[tuple[object, str]]) -> list[list[str]]:
    """Return the paths of each key that has more than one."""
    found = defaultdict(list)
    for key, path in keyed:
        found[key].append(path)
    return [paths for paths in found.values() if len(paths) > 1]
