"""Train one network by one recipe, with checkpoints and exact resumption."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.dataset import ImageData
from checkpoints.formats.native import save_native
from checkpoints.models import Architecture, build_model, initialise
from checkpoints.recipes.recipe import Recipe
from checkpoints.recipes.schedules import drw_switch
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.resume import (
    TrainingState,
    before_switch,
    host_copies,
    load_state,
    save_state,
    shared_path,
)
from checkpoints.training.trainer import Trainer, descent
from spectra._version import __version__
from spectra.errors import InputError
from spectra.system.seeding import derive_seed, make_generator

EpochCallback = Callable[[int, dict[str, Any]], None]


@dataclass(frozen=True)
class TrainingJob:
    """One training run.

    Attributes:
        recipe: how to train.
        data: on what.
        architecture: which network.
        seed: of initial weights, order of images and augmentation.
        folder: where checkpoints, history and the state for resuming go.
        keep_epochs: epochs (counted as done) to keep a checkpoint of; None: :func:`default_epochs`.
        name: of the run, in checkpoints and figures.
        shared: folder of states at the DRW switch: runs that differ in nothing before it, such as
            CE and CE+DRW, take the first part from each other, to the same bytes; None: each
            trains it. Not where an epoch before the switch is to be kept.
        start: weights to begin from, after that many epochs of ``recipe``'s schedule, with no
            momentum; None: fresh ones, at epoch 0. Says what another recipe makes of a network.
        execution: how the network's passes are computed.

    Raises:
        InputError: an optimizer that a compiled network or a captured step does not serve.
    """

    recipe: Recipe
    data: ImageData
    architecture: Architecture
    seed: int
    folder: Path
    keep_epochs: tuple[int, ...] | None = None
    name: str | None = None
    shared: Path | None = None
    start: Checkpoint | None = None
    execution: Execution = EXACT

    def __post_init__(self) -> None:
        self.execution.check(self.recipe.optimizer)


def default_epochs(epochs: int) -> tuple[int, ...]:
    """Return the epochs of the paper's trajectories, scaled, and the first one after the switch.

    Of 200: 10, 50, 100, 160, 161, 170, 190, 200; 160 is just before the DRW switch, 161 just after.
    """
    fractions = (0.05, 0.25, 0.5, 0.85, 0.95, 1.0)
    switch = drw_switch(epochs)
    wanted = {max(1, round(f * epochs)) for f in fractions} | {switch, switch + 1}
    return tuple(sorted(e for e in wanted if e <= epochs))


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Return where the checkpoint after ``epoch`` epochs lies in a run's folder."""
    return folder / "checkpoints" / f"epoch-{epoch:04d}.safetensors"


def train(
    job: TrainingJob,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    on_epoch: EpochCallback | None = None,
) -> list[Path]:
    """Train and return the paths of the kept checkpoints, the last epoch's last.

    Every random number comes from (seed, epoch), and everything else that a step depends on is in
    the state saved after each epoch: a run that was killed and resumed writes the same bytes as
    one that was not (same CPU, same number of threads).

    Args:
        job: what to train.
        device: where.
        resume: go on from the last finished epoch if there is one.
        on_epoch: called with the number of epochs done and their metrics.

    Raises:
        InputError: the folder holds another run, or a run and ``resume`` is off; or steps are to be
            captured and ``device`` is no GPU.
        NonFiniteError: the loss became NaN or infinite; checkpoints before it stay.
    """
    recipe, data = job.recipe, job.data
    device = torch.device(device)
    job.execution.check_device(device)
    begun = 0 if job.start is None else _begun(job, job.start)
    keep = job.keep_epochs
    if keep is None:
        keep = tuple(e for e in default_epochs(recipe.epochs) if e > begun)
    if any(not begun <= e <= recipe.epochs for e in keep):
        raise InputError(f"epochs to keep must lie in {begun}..{recipe.epochs}, got {list(keep)}")
    keep = tuple(sorted({*keep, recipe.epochs}))
    if min(data.class_counts) == 0:
        empty = [c for c, n in enumerate(data.class_counts) if n == 0]
        raise InputError(f"classes {empty} have no training images; every class needs one")
    if recipe.head == "cosine" and job.architecture.head != "cosine":
        raise InputError(f"loss {recipe.loss} is defined on a cosine head, got a linear one")
    identity: dict[str, Any] = {
        "recipe": recipe.to_dict(),
        "architecture": job.architecture.to_dict(),
        "data": {**data.description, "digest": data.digest()},
        "seed": job.seed,
        "start": job.start and job.start.digest(),
        "execution": job.execution.identity,
    }
    model = job.execution.place(_first_model(job), device)
    optimizer = descent(recipe, model, device)
    state_path = job.folder / "resume.safetensors"
    switch = drw_switch(recipe.epochs)
    common: Path | None = None
    keeps_earlier = any(0 < e <= switch for e in keep)
    alike = recipe.weighting in ("none", "drw") and job.start is None
    if job.shared is not None and alike and not keeps_earlier:
        common = shared_path(job.shared, identity)
    state: TrainingState | None = None
    if state_path.exists():
        if not resume:
            raise InputError(f"{job.folder} holds a run already; add --resume or choose another -o")
        state = load_state(state_path, expected=identity)
    elif not resume and any((job.folder / "checkpoints").glob("epoch-*.safetensors")):
        raise InputError(f"{job.folder} holds checkpoints already; choose another -o")
    else:
        if begun in keep:
            first = _snapshot(job, model, begun, {}, identity["data"])
            save_native(checkpoint_path(job.folder, begun), first)
        if common is not None and common.exists():
            state = load_state(common, expected=before_switch(identity))
    history: list[dict[str, Any]] = []
    done = begun
    if state is not None:
        done, history = state.epoch, state.history
        state.restore(model, optimizer)
    trainer = Trainer(
        recipe, data, model, optimizer, seed=job.seed, device=device, execution=job.execution
    )
    lost = [e for e in keep if begun < e <= done and not checkpoint_path(job.folder, e).exists()]
    if lost:
        raise InputError(
            f"{job.folder} is past epochs {lost}, which were not kept; leave them out of the "
            "epochs to keep, or start anew in another folder"
        )
    for epoch in range(done, recipe.epochs):
        metrics = {"epoch": epoch + 1, **trainer.run_epoch(epoch), **trainer.validate()}
        history.append(metrics)
        if epoch + 1 in keep:
            path = checkpoint_path(job.folder, epoch + 1)
            save_native(path, _snapshot(job, model, epoch + 1, metrics, identity["data"]))
        state = TrainingState.capture(model, optimizer, epoch + 1, history)
        if common is not None and epoch + 1 == switch:
            save_state(common, state, before_switch(identity))
        save_state(state_path, state, identity)
        if on_epoch:
            on_epoch(epoch + 1, metrics)
    return [checkpoint_path(job.folder, e) for e in keep]


def _begun(job: TrainingJob, start: Checkpoint) -> int:
    """Return the epochs behind ``start``, which must fit the job."""
    begun = start.epoch or 0
    if begun >= job.recipe.epochs:
        raise InputError(
            f"{start.name} has {begun} epochs behind it and {job.recipe.name} trains for "
            f"{job.recipe.epochs}; give more with --epochs"
        )
    classes = start.architecture.num_classes
    if classes != job.data.num_classes:
        raise InputError(
            f"{start.name} has {classes} classes, this run {job.data.num_classes}; they must agree"
        )
    for what, there, here in (
        ("architecture", start.architecture, job.architecture),
        ("normalisation", start.normalisation, job.data.normalisation),
    ):
        theirs, ours = (asdict(x) if x is not None else {} for x in (there, here))
        differ = [key for key in theirs if theirs[key] != ours.get(key)]
        if differ:
            raise InputError(
                f"{start.name} has another {what} than this run: "
                + ", ".join(f"{key} {theirs[key]}, here {ours.get(key)}" for key in differ)
            )
    return begun


def _first_model(job: TrainingJob) -> nn.Module:
    """Build the network; a user's own initialisation is kept, seeded, the global RNG untouched."""
    if job.start is not None:
        model = job.start.model()
        # The counts of batch norm's batches, which a model for eval mode does without.
        model.load_state_dict(dict(job.start.state), strict=False)
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(job.seed, "model"))
        model = build_model(job.architecture)
    if ":" not in job.architecture.name:
        initialise(model, make_generator(job.seed, "weights"))
    return model


def _snapshot(
    job: TrainingJob,
    model: nn.Module,
    epoch: int,
    metrics: dict[str, Any],
    data: dict[str, Any],
) -> Checkpoint:
    name = job.name or f"{job.data.name}/{job.recipe.name}"
    return Checkpoint(
        name=name,
        state=host_copies(model.state_dict()),
        architecture=job.architecture,
        normalisation=job.data.normalisation,
        epoch=epoch,
        recipe=job.recipe,
        class_counts=job.data.class_counts,
        data=data,
        metrics=metrics,
        seed=job.seed,
        versions={"hessian-spectra": __version__, "torch": torch.__version__},
        notes=tuple(
            note
            for note in (None if job.start is None else _lineage(job.start), job.execution.note)
            if note
        ),
    )


def _lineage(start: Checkpoint) -> str:
    after = "" if start.epoch is None else f" after epoch {start.epoch}"
    return f"trained from {start.name}{after} (weights {start.digest()[:12]}), no momentum"
