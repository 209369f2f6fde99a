"""Spectra as TensorBoard shows them: curves of every class, densities as histograms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spectra.errors import InputError
from spectra.results.writers.interface import EpochWriter
from spectra.results.writers.values import EpochValues

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardWriter(EpochWriter):
    """Writes to an event file: ``tensorboard --logdir FOLDER`` shows it.

    Curves are ``lambda_min/8``, ``ratio/tail`` and so on by epoch; densities are histograms, whose
    bins are narrow near 0. TensorBoard names its files by the time and the machine.

    Args:
        folder: for the event file, made if it is not there; or a
            ``torch.utils.tensorboard.SummaryWriter`` of one's own, which stays open.

    Raises:
        InputError: tensorboard is not installed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import torch, spectra
        >>> data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
        >>> with TemporaryDirectory() as folder, spectra.TensorBoardWriter(folder) as writer:
        ...     recorder = spectra.ClassSpectra(data, num_steps=3, writers=[writer])
        ...     found = recorder.record(torch.nn.Linear(4, 3), epoch=5)
    """

    def __init__(self, folder: str | Path | SummaryWriter) -> None:
        if not isinstance(folder, str | Path):
            self._writer, self._own = folder, False
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "TensorBoard's files need tensorboard: pip install hessian-spectra[tensorboard]"
            ) from error
        self._writer, self._own = SummaryWriter(str(folder)), True

    def write_values(self, values: EpochValues) -> None:
        """Write the numbers and densities of one epoch."""
        for tag, number in values.numbers.items():
            self._writer.add_scalar(tag, number, global_step=values.epoch)
        for tag, density in values.densities.items():
            there = density.counts.nonzero()[0]
            first, last = int(there[0]), int(there[-1])
            self._writer.add_histogram_raw(
                tag,
                min=float(density.edges[first]),
                max=float(density.edges[last + 1]),
                num=float(density.counts.sum()),
                sum=density.total,
                sum_squares=density.squares,
                bucket_limits=density.edges[first + 1 : last + 2].tolist(),
                bucket_counts=density.counts[first : last + 1].tolist(),
                global_step=values.epoch,
            )
        self._writer.flush()

    def close(self) -> None:
        """Close the event file if the writer has made it."""
        if self._own:
            self._writer.close()
