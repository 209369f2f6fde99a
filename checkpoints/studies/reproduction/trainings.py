"""The networks of a study: which, and their training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from checkpoints.data import DataRequest, ImageData
from checkpoints.studies.reproduction.description import Reproduction
from checkpoints.training.execution import Execution
from checkpoints.training.job import TrainingJob
from checkpoints.training.request import TrainRequest, training_job
from checkpoints.training.run import train_job
from spectra.system.files.names import file_name
from spectra.system.progress import Progress


@dataclass(frozen=True)
class Run:
    """One network of a study.

    Attributes:
        row: what its seeds share: recipe, and the field that is varied.
        recipe: name.
        seed: of the training.
        overrides: recipe fields.
        folder: of its checkpoints.
    """

    row: str
    recipe: str
    seed: int
    overrides: Mapping[str, float]
    folder: Path


def planned_runs(study: Reproduction, folder: Path) -> list[Run]:
    """Return the networks of a study, recipe by recipe and seed by seed."""
    settings, runs = study.settings, []
    for recipe in settings.recipes:
        for value in settings.values if study.vary else (None,):
            row = recipe if value is None else f"{recipe} {study.vary} {value:g}"
            overrides: dict[str, float] = {"epochs": settings.epochs}
            if study.vary and value is not None:
                overrides[study.vary] = value
            for seed in settings.seeds:
                place = folder / "training" / f"{file_name(row.replace(' ', '-'))}-seed{seed}"
                runs.append(Run(row, recipe, seed, overrides, place))
    return runs


def job_of(
    study: Reproduction, run: Run, request: DataRequest, data: ImageData, execution: Execution
) -> TrainingJob:
    """Put the training of a network together."""
    wanted = TrainRequest(
        run.recipe, request, study.settings.arch, run.overrides, run.seed,
        None if study.every_epoch else (), execution=execution,
    )  # fmt: skip
    job = training_job(wanted, run.folder, data=data)
    return replace(job, shared=run.folder.parent / "shared")


def train_run(job: TrainingJob, device: str, on_progress: Progress | None) -> list[Path]:
    """Train a network, or go on with it, and return its checkpoints in order of epochs."""

    def trained(_: str, epoch: int, epochs: int) -> None:
        if on_progress:
            on_progress("train", epoch, epochs)

    return train_job(job, device=device, resume=True, repair=True, on_progress=trained)
