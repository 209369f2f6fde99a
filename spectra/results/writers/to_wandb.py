"""Spectra as Weights & Biases shows them: curves of every class, densities as histograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectra.errors import InputError
from spectra.results.writers.interface import EpochWriter
from spectra.results.writers.values import EpochValues

# W&B logs by steps of its own, which only rise: what is written here goes by this instead, so that
# it stands beside what a training logs at every batch.
EPOCH = "epoch"


class WandbWriter(EpochWriter):
    """Writes to a run of Weights & Biases, by the axis ``epoch``.

    What is written is numbers, histograms and ``config``; W&B adds what it records of every run,
    such as the machine's name and what is printed. Its own settings say what is sent where: with
    ``WANDB_MODE=offline`` all of it stays in the folder ``wandb``.

    Args:
        project: ``PROJECT`` or ``ENTITY/PROJECT``, in which a run is begun; or a run of one's own,
            as ``wandb.init`` returns it, which stays open.
        name: of the run; None: W&B makes one up.
        config: what W&B is to know of the run.

    Raises:
        InputError: wandb is not installed.
    """

    def __init__(
        self,
        project: Any,
        *,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            import wandb
        except ImportError as error:
            raise InputError(
                "Weights & Biases needs wandb: pip install hessian-spectra[wandb]"
            ) from error
        self._histogram = wandb.Histogram
        self._axes: set[str] = set()
        if not isinstance(project, str):
            self._run, self._own = project, False
            return
        entity, _, named = project.rpartition("/")
        self._own = True
        self._run = wandb.init(
            project=named,
            entity=entity or None,
            name=name,
            config=dict(config or {}),
            reinit="create_new",
        )

    def write_values(self, values: EpochValues) -> None:
        """Write the numbers and densities of one epoch."""
        densities = {
            tag: self._histogram(np_histogram=(density.counts, density.edges))
            for tag, density in values.densities.items()
        }
        for tag in (*values.numbers, *densities):
            kind = tag.partition("/")[0]
            if kind not in self._axes:
                self._axes.add(kind)
                self._run.define_metric(f"{kind}/*", step_metric=EPOCH)
        self._run.log({EPOCH: values.epoch, **values.numbers, **densities})

    def close(self) -> None:
        """Finish the run if the writer has begun it."""
        if self._own:
            self._run.finish()
