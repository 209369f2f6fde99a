"""Train one network by one recipe, with checkpoints and exact resumption."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoints.checkpoint import Checkpoint
from checkpoints.formats.native import save_native
from checkpoints.models import build_model, initialise
from checkpoints.recipes.schedules import drw_switch
from checkpoints.training.epochs_by_execution import ComputedEpochs, computed_note, go_on
from checkpoints.training.evaluation import EpochMetrics, passes_of
from checkpoints.training.job import TrainingJob, checkpoint_path, state_path
from checkpoints.training.resume import (
    TrainingState,
    before_switch,
    host_copies,
    load_state,
    save_state,
    shared_path,
)
from checkpoints.training.threads import suitable_threads
from checkpoints.training.trainer import Trainer, descent
from spectra._version import __version__
from spectra.errors import InputError
from spectra.system.files.lock import locked
from spectra.system.files.places import writing_under
from spectra.system.progress import Progress
from spectra.system.seeding import derive_seed, make_generator


def train_job(
    job: TrainingJob,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    other_execution: bool = False,
    on_progress: Progress | None = None,
) -> list[Path]:
    """Train and return the paths of the kept checkpoints, the last epoch's last.

    Every random number comes from (seed, epoch), and everything else that a step depends on is in
    the state saved after each epoch: a run that was killed and resumed writes the same bytes as
    one that was not (same CPU, same number of threads: as many as the images are worth).

    Args:
        job: what to train.
        device: where.
        resume: go on from the last finished epoch if there is one.
        other_execution: go on also where the run was begun in another execution, such as on a GPU
            that is gone: to other bytes, and the checkpoints say which epochs were computed how.
        on_progress: called after each epoch with (loss and accuracy, epochs done, epochs planned);
            :func:`checkpoints.training.resume.load_history` then has all its numbers.

    Raises:
        InputError: the folder holds another run, or a run and ``resume`` is off; or another process
            trains into it; or steps are to be captured and ``device`` is no GPU.
        NonFiniteError: the loss became NaN or infinite; checkpoints before it stay.
    """
    job.execution.check_device(torch.device(device))
    job.check()
    with suitable_threads(job.data), writing_under(job.folder), locked(job.folder):
        _train(job, torch.device(device), resume, other_execution, on_progress)
    return [checkpoint_path(job.folder, e) for e in job.kept]


def _train(
    job: TrainingJob,
    device: torch.device,
    resume: bool,
    other_execution: bool,
    on_progress: Progress | None,
) -> None:
    recipe, identity = job.recipe, job.identity()
    model = job.execution.place(_first_model(job), device)
    passes = None
    if ":" in job.architecture.name:
        passes = passes_of(model, job.data, job.architecture.name)
    optimizer = descent(recipe, model, device)
    common = shared_path(job.shared, identity) if job.shared and job.shares else None
    state = _state_to_go_on_from(
        job, model, identity, common, resume=resume, other_execution=other_execution
    )
    done = job.begun
    history: list[dict[str, Any]] = []
    computed: tuple[ComputedEpochs, ...] = ()
    if state is not None:
        done, history, computed = state.epoch, state.history, state.computed
        state.restore(model, optimizer)
    if done < recipe.epochs:
        computed = go_on(computed, done, job.execution, device.type)
    _check_none_lost(job, done)
    trainer = Trainer(
        recipe,
        job.data,
        model,
        optimizer,
        seed=job.seed,
        device=device,
        execution=job.execution,
        passes=passes,
    )
    for epoch in range(done, recipe.epochs):
        metrics = replace(trainer.run_epoch(epoch), test=trainer.validate())
        history.append(metrics.to_dict())
        if epoch + 1 in job.kept:
            _keep(job, model, epoch + 1, metrics.to_dict(), computed)
        state = TrainingState.capture(model, optimizer, epoch + 1, history, computed)
        at_switch = epoch + 1 == drw_switch(recipe.epochs)
        if common is not None and at_switch and len(computed) == 1:
            with writing_under(common.parent):
                save_state(common, state, before_switch(identity))
        save_state(state_path(job.folder), state, identity)
        if on_progress:
            on_progress(_said(metrics), epoch + 1, recipe.epochs)


def _state_to_go_on_from(
    job: TrainingJob,
    model: nn.Module,
    identity: dict[str, Any],
    common: Path | None,
    *,
    resume: bool,
    other_execution: bool,
) -> TrainingState | None:
    """Return the state of the run, or what a run like it left at the switch; None: begin.

    The checkpoint of a run that begins, of ``model`` as it is, is written where it is to be kept.
    """
    own = state_path(job.folder)
    if own.exists():
        if not resume:
            raise InputError(f"{job.folder} holds a run already; add --resume or choose another -o")
        return load_state(own, expected=identity, other_execution=other_execution)
    if not resume and any((job.folder / "checkpoints").glob("epoch-*.safetensors")):
        raise InputError(f"{job.folder} holds checkpoints already; choose another -o")
    if job.begun in job.kept:
        _keep(job, model, job.begun, {})
    if common is None or not common.exists():
        return None
    return load_state(common, expected=before_switch(identity))


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


def _check_none_lost(job: TrainingJob, done: int) -> None:
    """Raise InputError where an epoch to keep is among the ``done`` ones and lies nowhere."""
    past = [e for e in job.kept if job.begun < e <= done]
    lost = [e for e in past if not checkpoint_path(job.folder, e).exists()]
    if lost:
        raise InputError(
            f"{job.folder} is past epochs {lost}, which were not kept; leave them out of the "
            "epochs to keep, or start anew in another folder"
        )


def _said(metrics: EpochMetrics) -> str:
    """Return what somebody who waits wants to know of an epoch."""
    tested = "" if metrics.test is None else f", test accuracy {metrics.test.overall:.3f}"
    return f"loss {metrics.train_loss:.3g}{tested}"


def _keep(
    job: TrainingJob,
    model: nn.Module,
    epoch: int,
    metrics: Mapping[str, Any],
    computed: Sequence[ComputedEpochs] = (),
) -> None:
    """Write the checkpoint of ``model`` after ``epoch`` epochs."""
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
    save_native(checkpoint_path(job.folder, epoch), checkpoint)


def _lineage(start: Checkpoint) -> str:
    after = "" if start.epoch is None else f" after epoch {start.epoch}"
    return f"trained from {start.name}{after} (weights {start.digest()[:12]}), no momentum"
