"""Extreme eigenvectors along a trajectory, kept so that a killed one goes on."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spectra import Eigenpair, Extremes
from spectra.system.files.names import file_name
from spectra.system.files.writing import write_atomically


@dataclass(frozen=True)
class WarmStarts:
    """Where the vectors of each loss lie while a trajectory is under way.

    Attributes:
        folder: of the vectors.
        before: name of the checkpoint before this one; None for the first.
        now: name of this one.
    """

    folder: Path
    before: str | None
    now: str

    def load(self, label: str) -> Extremes | None:
        """Return what the checkpoint before gave; None at the first, or where it gave nothing."""
        if self.before is None or not self._path(self.before, label).exists():
            return None
        vectors = torch.from_numpy(np.load(self._path(self.before, label))).double()
        low, high = (Eigenpair(0.0, v / v.norm(), 0.0, True) for v in vectors)
        return Extremes((low,), (high,), 0)

    def save(self, label: str, extremes: Extremes) -> None:
        """Keep the vectors, in float32: what the next checkpoint sees, resumed or not."""
        both = torch.stack([extremes.smallest.vector, extremes.largest.vector])
        buffer = io.BytesIO()
        np.save(buffer, both.float().cpu().numpy())
        write_atomically(self._path(self.now, label), buffer.getvalue())

    def _path(self, name: str, label: str) -> Path:
        return self.folder / f"{file_name(name)}-{file_name(label)}.npy"
