"""A split whose images lie in files: paths and labels, and how the images are to be decoded."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from checkpoints.data.photos.crops import CROP_ROWS
from checkpoints.data.photos.decoding import CUT, WHOLE, Decode, Decoded, Fault, Look
from checkpoints.data.photos.workers import PIECE, Workers
from spectra.errors import InputError
from spectra.system.files.limits import limit

# The side of the published recipes' images.
SIDE = 224
# Ours: of faults that a line of text names.
_SOME = 3
# Ours: questions to a file system at once, which may lie behind a network, and one after the other.
_ASKING, _ASKED = 16, 256


@dataclass(frozen=True)
class Photos:
    """Labelled images that lie in files, of which none is decoded before it is asked for.

    An image stands for itself, in analysis and evaluation, as the published code evaluates: its
    short side is resized to 256/224 of ``size``, and the square of ``size`` in the middle is cut
    out. Training takes random crops of it instead.

    Attributes:
        root: folder that the paths are relative to.
        paths: of the image files.
        labels: int64 (n,).
        size: pixels of a side of the images that are made of them.
        origin: the list that names them, for people.
        draws: what is random about each, a column of
            :func:`checkpoints.data.photos.crops.draw_views`, where they are random crops, drawn
            once; None: they stand for themselves.
    """

    root: Path
    paths: tuple[str, ...]
    labels: Tensor
    size: int = SIDE
    origin: str = "the list"
    draws: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return (3, self.size, self.size)

    @property
    def images(self) -> Tensor:
        """Never all at once: see :meth:`decoded` and :class:`checkpoints.data.photos.cached`.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"this needs images that lie in memory, and those of {self.origin} are decoded from "
            "their files when they are asked for; give fewer and smaller ones as folder:PATH,SIZE"
        )

    @property
    def inputs(self) -> Tensor:
        """Never all at once, as :attr:`images`.

        Raises:
            InputError: always.
        """
        return self.images

    def subset(self, index: Tensor) -> "Photos":
        """Return the images at the positions ``index`` (n,), in that order."""
        paths = tuple(self.paths[i] for i in index.tolist())
        draws = None if self.draws is None else self.draws[:, index]
        return replace(self, paths=paths, labels=self.labels[index], draws=draws)

    def counts(self, num_classes: int) -> tuple[int, ...]:
        """Return the number of images of each class."""
        return tuple(torch.bincount(self.labels, minlength=num_classes).tolist())

    def digest(self) -> str:
        """Return the SHA-256 of paths, labels, sizes of files and how they are decoded.

        Not of the pixels: decoding ImageNet-LT takes ten minutes on two cores, and reading it as
        long from a disk behind a network. A file's size is there for one question, and differs
        where somebody resized the images or packed them anew. Computed once.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        h = hashlib.sha256(f"photos {self.size} {CUT}/{WHOLE} {len(self)}\n".encode())
        for path, nbytes in zip(self.paths, self.file_sizes(), strict=True):
            h.update(f"{path}\n{nbytes}\n".encode("utf-8", "surrogateescape"))
        h.update(self.labels.contiguous().numpy().tobytes())
        return h.hexdigest()

    def file_sizes(self) -> list[int]:
        """Return the bytes of each file; -1 where there is none."""
        parts = [self.paths[i : i + _ASKED] for i in range(0, len(self.paths), _ASKED)]
        with ThreadPoolExecutor(_ASKING) as pool:
            sizes = pool.map(lambda part: [_size(self.root, path) for path in part], parts)
            return [nbytes for part in sizes for nbytes in part]

    def decoded(self, workers: Workers | None = None) -> Tensor:
        """Return all images, as evaluation sees them, uint8 (n, 3, size, size).

        Raises:
            InputError: one of them cannot be decoded.
        """
        pool = workers or Workers()
        pieces = [piece.images for piece in checked(self, pool.map(self.to_decode()))]
        empty = torch.zeros((0, *self.shape), dtype=torch.uint8)
        return torch.cat([empty, *pieces])

    def to_decode(self, index: Tensor | None = None, draws: Tensor | None = None) -> list[Decode]:
        """Return the work of decoding images, in pieces for :class:`Workers`.

        Args:
            index: positions, int64 (n,); None: all.
            draws: random crops, see :func:`checkpoints.data.photos.crops.draw_views`, (k, n);
                None: the images' own, else images as evaluation sees them.
        """
        chosen = range(len(self)) if index is None else index.tolist()
        if draws is None and self.draws is not None:
            draws = (self.draws if index is None else self.draws[:, index])[:CROP_ROWS]
        paths = [self.paths[i] for i in chosen]
        crops = None if draws is None else draws.numpy()
        pixels = limit("image_pixels")
        return [
            Decode(
                str(self.root),
                tuple(paths[i : i + PIECE]),
                self.size,
                None if crops is None else crops[:, i : i + PIECE].copy(),
                pixels,
            )
            for i in range(0, len(paths), PIECE)
        ]

    def to_look_at(self, *, decode: bool) -> list[Look]:
        """Return the work of looking at all files, in pieces for :class:`Workers`."""
        pixels, root = limit("image_pixels"), str(self.root)
        size = PIECE if decode else 8 * PIECE
        return [
            Look(root, self.paths[i : i + size], decode, pixels) for i in range(0, len(self), size)
        ]


def checked(photos: Photos, pieces: Iterator[Decoded]) -> Iterator[Decoded]:
    """Yield decoded pieces.

    Raises:
        InputError: an image of one cannot be decoded.
    """
    for piece in pieces:
        if piece.faults:
            raise InputError(
                f"{faults_named(piece.faults)}; 'spectra data check --decode' lists all such files "
                f"of {photos.origin}"
            )
        yield piece


def faults_named(faults: tuple[Fault, ...]) -> str:
    """Return the first of some faults as part of a line."""
    named = "; ".join(f"{fault.path}: {fault.why}" for fault in faults[:_SOME])
    more = len(faults) - _SOME
    return f"{named}; and {more} more" if more > 0 else named


def _size(root: Path, path: str) -> int:
    try:
        return os.stat(os.path.join(root, path)).st_size
    except (OSError, ValueError):
        return -1
