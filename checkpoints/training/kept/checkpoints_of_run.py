"""Writing the checkpoints that a run keeps, and seeing that they stay."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from checkpoints.checkpoint import Checkpoint
from checkpoints.formats.native import save_native
from checkpoints.training.epochs_by_execution import ComputedEpochs, computed_note
from checkpoints.training.job import (
    TrainingJob,
    checkpoint_path,
    damaged_checkpoints,
    state_path,
)
from checkpoints.training.resume import host_copies
from spectra._version import __version__
from spectra.errors import InputError


def keep_checkpoint(
    job: TrainingJob,
    model: nn.Module,
    epoch: int,
    metrics: Mapping[str, Any],
    computed: Sequence[ComputedEpochs] = (),
) -> str:
    """Write the checkpoint of ``model`` after ``epoch`` epochs; return the SHA-256 of the file."""
    checkpoint = Checkpoint(
        name=job.name or f"{job.data.name}/{job.recipe.name}",
        state=host_copies(model.state_dict()),
        architecture=job.architecture,
        normalisation=job.data.normalisation,
        epoch=epoch,
        recipe=job.recipe,
        class_counts=job.data.class_counts,
        data=job.described_data,
        metrics=metrics,
        seed=job.seed,
        versions={"hessian-spectra": __version__, "torch": torch.__version__},
        notes=tuple(
            note
            for note in (
                None if job.start is None else _lineage(job.start),
                computed_note(computed, epoch) or job.execution.note,
            )
            if note
        ),
    )
    return save_native(checkpoint_path(job.folder, epoch), checkpoint)


def _lineage(start: Checkpoint) -> str:
    after = "" if start.epoch is None else f" after epoch {start.epoch}"
    return f"trained from {start.name}{after} (weights {start.digest()[:12]}), no momentum"


def check_there(job: TrainingJob, kept: Mapping[str, str] | None, done: int) -> None:
    """Raise InputError where a checkpoint that this run wrote or found has gone since."""
    wrong = damaged_checkpoints(job, kept, since=job.begun, until=done)
    if wrong:
        raise InputError(
            f"{', '.join(wrong[:3])}, since this run began; leave its folder alone, remove "
            f"{state_path(job.folder)} and give the same command again (spectra train: with "
            "--resume)"
        )
