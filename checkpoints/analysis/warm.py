"""Extreme eigenvectors along a trajectory, kept so that a killed one goes on."""

import hashlib
import io
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import torch

from spectra import Eigenpair, Extremes
from spectra.errors import InputError
from spectra.system.files.names import file_name
from spectra.system.files.places import refuse_elsewhere
from spectra.system.files.reading import file_digest, read_bytes
from spectra.system.files.writing import write_atomically

logger = logging.getLogger(__name__)


class WarmStarts:
    """Where the vectors of each loss lie while a trajectory is under way, and which are right.

    Args:
        folder: of the vectors.
        before: name of the checkpoint before this one; None for the first.
        now: name of this one.
        given: SHA-256 of the file that the checkpoint before left for each loss, None where it
            left none. A file of another digest is never read.
        again: losses to analyze again, whatever is kept of them: for the vectors that they leave.
        make: makes the vectors of some losses at the checkpoint before, where files are gone.

    Attributes:
        left: SHA-256 of what this checkpoint leaves for each loss.
    """

    def __init__(
        self,
        folder: Path,
        before: str | None,
        now: str,
        *,
        given: Mapping[str, str | None] | None = None,
        again: Collection[str] = (),
        make: Callable[[Collection[str]], None] | None = None,
    ) -> None:
        self.folder, self.before, self.now = folder, before, now
        self.given: Mapping[str, str | None] = given or {}
        self.again, self.make = again, make
        self.left: dict[str, str | None] = {}

    def lost(self, labels: Collection[str]) -> list[str]:
        """Return the losses whose vectors of the checkpoint before are gone or damaged."""
        if self.before is None:
            return []
        return [
            label
            for label in labels
            if self.given.get(label) is not None
            and file_digest(self._path(self.before, label)) != self.given[label]
        ]

    def prepare(self, labels: Collection[str]) -> None:
        """Make what is lost of the vectors that ``labels`` are to start from."""
        lost = self.lost(labels)
        if lost and self.make is not None:
            logger.warning(
                "the eigenvectors of class %s at %s are gone or damaged, and are made again",
                ", ".join(lost),
                self.before,
            )
            self.make(lost)

    def load(self, label: str) -> Extremes | None:
        """Return what the checkpoint before gave; None at the first, or where it gave nothing.

        Raises:
            InputError: the file is another one than it was when the work began.
        """
        digest = self.given.get(label)
        if self.before is None or digest is None:
            return None
        path = self._path(self.before, label)
        try:
            content = read_bytes(path, None)
        except InputError:
            content = b""
        if hashlib.sha256(content).hexdigest() != digest:
            raise InputError(
                f"{path} was changed or removed while it was needed; leave the folder alone and "
                "give the same command again, which makes it anew"
            )
        vectors = torch.from_numpy(np.load(io.BytesIO(content))).double()
        low, high = (Eigenpair(0.0, v / v.norm(), 0.0, True) for v in vectors)
        return Extremes((low,), (high,), 0)

    def save(self, label: str, extremes: Extremes) -> None:
        """Keep the vectors, in float32: what the next checkpoint sees, resumed or not."""
        both = torch.stack([extremes.smallest.vector, extremes.largest.vector])
        buffer = io.BytesIO()
        np.save(buffer, both.float().cpu().numpy())
        write_atomically(self._path(self.now, label), buffer.getvalue())
        self.left[label] = hashlib.sha256(buffer.getvalue()).hexdigest()

    def forget(self) -> None:
        """Remove the files that this checkpoint left, and the folder where nothing else is in it.

        What somebody else has put there stays.
        """
        for path in (self._path(self.now, label) for label in self.left):
            refuse_elsewhere(path)
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, name: str, label: str) -> Path:
        return self.folder / f"{file_name(name)}-{file_name(label)}.npy"
