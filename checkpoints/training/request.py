"""Train by recipe name or file, on named data, into a run's folder."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import PHOTO_NETWORK
from checkpoints.data import DataRequest, ImageData, load_data
from checkpoints.data.photos.photos import Photos
from checkpoints.data.sources import recipe_family
from checkpoints.load import LoadOptions, load_checkpoint
from checkpoints.models import Architecture
from checkpoints.recipes.families import PHOTO_FAMILIES, get_recipe, load_recipe
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.job import TrainingJob
from checkpoints.training.parallel.agreement import by_first
from checkpoints.training.parallel.shares import ALONE
from checkpoints.training.run import train_job
from spectra.errors import InputError
from spectra.system.files.reading import read_bytes
from spectra.system.progress import Progress
from spectra.system.ranks import World


@dataclass(frozen=True)
class TrainRequest:
    """What to train.

    Attributes:
        recipe: a name, the path of a TOML file, or a recipe itself.
        data: where the images come from, and their profile.
        arch: architecture name or ``net.py:Net``; None: :func:`default_architecture`.
        overrides: recipe fields to change.
        seed: of weights, order and augmentation.
        keep_epochs: epochs to keep; None: those of the paper's trajectories, scaled.
        start: checkpoint to begin from, whose architecture it gets; None: fresh weights.
        execution: how the passes are computed.
    """

    recipe: Recipe | str | Path
    data: DataRequest = field(default_factory=DataRequest)
    arch: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    keep_epochs: tuple[int, ...] | None = None
    start: str | None = None
    execution: Execution = EXACT


def train(
    recipe: Recipe | str | Path,
    data: ImageData | DataRequest | str,
    *,
    output: Path | str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    keep_epochs: Sequence[int] | None = None,
    arch: str | None = None,
    start: str | Path | None = None,
    device: torch.device | str | None = None,
    execution: Execution = EXACT,
    resume: bool = False,
    other_execution: bool = False,
    on_progress: Progress | None = None,
    world: World = ALONE,
) -> Checkpoint:
    """Train a network and return its last checkpoint.

    The same arguments give the same bytes as the command ``spectra train``: see
    :func:`checkpoints.training.run.train_job`.

    >>> from checkpoints import DataRequest, train
    >>> checkpoint = train("ce-drw", DataRequest("digits", n_max=20), epochs=2)
    >>> checkpoint.name, checkpoint.epoch
    ('digits/ce-drw', 2)

    Args:
        recipe: a name of :data:`checkpoints.RECIPE_NAMES`, the path of a TOML file, or a recipe
            with every number in it.
        data: images with labels, or where they come from, such as ``digits`` or
            ``cifar10:FOLDER``, cut to their default long tail.
        output: folder for checkpoints and the state to resume from; None: nothing is left on disk.
        seed: of weights, order and augmentation.
        epochs: how many; schedules scale with it. None: the recipe's.
        keep_epochs: epochs to keep a checkpoint of in ``output``, beside the last; None: those of
            the paper's trajectories, scaled. :func:`checkpoints.list_checkpoints` finds them.
        arch: architecture name or ``net.py:Net``; None: :func:`default_architecture`.
        start: checkpoint to begin from, see :class:`TrainRequest`.
        device: where; None: the CPU, or where ``world`` has this process.
        execution: how the passes are computed.
        resume: go on with the run that ``output`` holds, if it holds one.
        other_execution: and also where it was begun in another execution, see
            :func:`checkpoints.training.run.train_job`.
        on_progress: called after each epoch with (loss and accuracy, epochs done, epochs planned).
        world: the processes that train together, each of which calls this with the same arguments
            and gets the same checkpoint; from :func:`spectra.system.ranks.joined` in a program
            that ``torchrun`` starts. Rank 0 alone writes to ``output``.

    Raises:
        InputError: recipe, data or architecture do not fit each other, or ``output`` holds a run.
        NonFiniteError: the loss became NaN or infinite.
    """
    if output is None:
        if keep_epochs or resume:
            raise InputError("epochs to keep, or a run to resume, need a folder; give an output")
        keep_epochs = ()
    request = TrainRequest(
        recipe=recipe,
        data=DataRequest(data) if isinstance(data, str) else DataRequest(),
        arch=arch,
        overrides={} if epochs is None else {"epochs": epochs},
        seed=seed,
        keep_epochs=None if keep_epochs is None else tuple(keep_epochs),
        start=None if start is None else str(start),
        execution=execution,
    )
    if isinstance(data, DataRequest):
        request = replace(request, data=data)
    given = data if isinstance(data, ImageData) else None
    with _folder(output) as folder:
        job = training_job(request, folder, data=given)
        kept = train_job(
            job,
            device=device or world.device,
            world=world,
            resume=resume,
            other_execution=other_execution,
            on_progress=on_progress,
        )
        return _sent_by_first(kept[-1], LoadOptions(arch=arch), world)


def _sent_by_first(path: Path, options: LoadOptions, world: World) -> Checkpoint:
    """Return rank 0's checkpoint on every rank, on machines that do not see its folder as well."""
    if world.size == 1:
        return load_checkpoint(path, options)
    content = by_first(world, lambda: read_bytes(path, None))
    with tempfile.TemporaryDirectory(prefix="spectra-training-") as scratch:
        copy = Path(scratch) / path.name
        copy.write_bytes(content)
        return load_checkpoint(copy, options)


@contextmanager
def _folder(output: Path | str | None) -> Iterator[Path]:
    if output is not None:
        yield Path(output)
        return
    with tempfile.TemporaryDirectory(prefix="spectra-training-") as scratch:
        yield Path(scratch)


def read_recipe(recipe: Recipe | str | Path, family: str, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe as it is, by name or from a TOML file, with overrides.

    Raises:
        InputError: no such recipe or file, or a field does not fit.
    """
    if isinstance(recipe, Recipe):
        return recipe.with_overrides(overrides)
    if str(recipe).endswith(".toml"):
        return load_recipe(Path(recipe), family).with_overrides(overrides)
    return get_recipe(str(recipe), family).with_overrides(overrides)


def default_architecture(family: str, image_size: int) -> str:
    """Return the network that is trained where nobody names one.

    Images under 16 pixels get digits-resnet, others resnet32, and those of ImageNet-LT and
    iNaturalist 2018 the paper's resnet50 from 64 pixels on (ours, because its stem leaves 2 x 2
    pixels of 64 for the last stage; smaller ones keep more of themselves in resnet32).

    Args:
        family: of the data, see :data:`checkpoints.recipes.families.FAMILIES`.
        image_size: height = width of the images in pixels.
    """
    if image_size < 16:
        return "digits-resnet"
    return PHOTO_NETWORK if family in PHOTO_FAMILIES and image_size >= 64 else "resnet32"


def _shape_of_images(data: ImageData) -> tuple[int, ...]:
    """Return (channels, height, width).

    Raises:
        InputError: the inputs are no images of 8-bit pixels.
    """
    train = data.train
    return train.shape if isinstance(train, Photos) else tuple(train.images.shape[1:])


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
    family = recipe_family(data)
    recipe = read_recipe(request.recipe, family, request.overrides)
    if isinstance(data.train, Photos):  # whose crops are cut out of the file
        if request.overrides.get("augment_crop"):
            raise InputError(
                "augment_crop pads images that lie in memory, and those of "
                f"{data.name} are cropped while they are decoded; leave augment_crop out"
            )
        recipe = recipe.with_overrides({"augment_crop": 0})
    channels, height, width = _shape_of_images(data)
    if height != width:
        raise InputError(f"images must be square, got {height}x{width}")
    if recipe.augment_crop >= height:
        raise InputError(
            f"augment_crop must be less than the images' {height} pixels, which it could push out "
            f"of sight, got {recipe.augment_crop}"
        )
    if request.start is None:
        start = None
        arch = request.arch or default_architecture(family, height)
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
