"""Train by recipe name or file, on named data, into a run's folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoints.data import DataRequest, ImageData, load_data
from checkpoints.data.sources import recipe_family
from checkpoints.load import LoadOptions, load_checkpoint
from checkpoints.models import Architecture
from checkpoints.recipes.recipe import Recipe, get_recipe, load_recipe
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.run import EpochCallback, TrainingJob, train
from checkpoints.training.threads import suitable_threads
from spectra.errors import InputError


@dataclass(frozen=True)
class TrainRequest:
    """What to train.

    Attributes:
        recipe: a name, or the path of a TOML file.
        data: where the images come from, and their profile.
        arch: architecture name or ``module:factory``; None: digits-resnet for small images,
            else resnet32.
        overrides: recipe fields to change.
        seed: of weights, order and augmentation.
        keep_epochs: epochs to keep; None: those of the paper's trajectories, scaled.
        start: checkpoint to begin from, whose architecture it gets; None: fresh weights.
        execution: how the passes are computed.
    """

    recipe: str
    data: DataRequest = field(default_factory=DataRequest)
    arch: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    keep_epochs: tuple[int, ...] | None = None
    start: str | None = None
    execution: Execution = EXACT


def read_recipe(name: str, family: str, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe by name or from a TOML file, with overrides.

    Raises:
        InputError: no such recipe or file, or a field does not fit.
    """
    if name.endswith(".toml"):
        return load_recipe(Path(name), family).with_overrides(overrides)
    return get_recipe(name, family).with_overrides(overrides)


def training_job(
    request: TrainRequest, folder: Path, *, data: ImageData | None = None
) -> TrainingJob:
    """Put a job together.

    Args:
        request: what to train.
        folder: where it goes.
        data: already read data of ``request.data``, to save reading it again.

    Raises:
        InputError: recipe, data or architecture do not fit each other.
    """
    data = data or load_data(request.data)
    recipe = read_recipe(request.recipe, recipe_family(data), request.overrides)
    _, channels, height, width = data.train.images.shape
    if height != width:
        raise InputError(f"images must be square, got {height}x{width}")
    if recipe.augment_crop >= height:
        raise InputError(
            f"augment_crop must be less than the images' {height} pixels, which it could push out "
            f"of sight, got {recipe.augment_crop}"
        )
    if request.start is None:
        start = None
        arch = request.arch or ("digits-resnet" if height < 16 else "resnet32")
        architecture = Architecture(arch, data.num_classes, channels, height, recipe.head)
    else:
        start = load_checkpoint(request.start, LoadOptions(arch=request.arch))
        architecture = start.architecture
    return TrainingJob(
        recipe=recipe,
        data=data,
        architecture=architecture,
        seed=request.seed,
        folder=folder,
        keep_epochs=request.keep_epochs,
        name=f"{data.name}/{recipe.name}",
        start=start,
        execution=request.execution,
    )


def run_training(
    job: TrainingJob,
    *,
    device: str = "cpu",
    resume: bool = False,
    on_epoch: EpochCallback | None = None,
) -> list[Path]:
    """Train on as many threads as the images are worth; see :func:`train`."""
    with suitable_threads(job.data):
        return train(job, device=device, resume=resume, on_epoch=on_epoch)
