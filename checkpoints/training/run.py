"""Train one network by one recipe, with checkpoints and exact resumption."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoints.checkpoint import Checkpoint
from checkpoints.formats.native import save_native
from checkpoints.models import build_model, initialise
from checkpoints.training.epochs_by_execution import ComputedEpochs, computed_note, go_on
from checkpoints.training.evaluation import EpochMetrics, passes_of, with_epoch
from checkpoints.training.job import (
    TrainingJob,
    checkpoint_path,
    damaged_checkpoints,
    state_path,
)
from checkpoints.training.resume import (
    DamagedStateError,
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

logger = logging.getLogger(__name__)


def train_job(
    job: TrainingJob,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    other_execution: bool = False,
    repair: bool = False,
    on_progress: Progress | None = None,
    on_epoch: Callable[[EpochMetrics], None] | None = None,
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
        repair: of a run to resume, train it anew where its state or a checkpoint is damaged or
            gone, which a warning says; off: that is an error.
        on_progress: called after each epoch with (loss and accuracy, epochs done, epochs planned);
            :func:`checkpoints.training.resume.load_history` then has all its numbers.
        on_epoch: called after each epoch with what it came to, once its state is saved.

    Raises:
        InputError: the folder holds another run, or a run and ``resume`` is off; or another process
            trains into it; or what the run wrote is damaged or gone, before it or at its end; or
            steps are to be captured and ``device`` is no GPU.
        NonFiniteError: the loss became NaN or infinite; checkpoints before it stay.
    """
    job.execution.check_device(torch.device(device))
    job.check()
    with suitable_threads(job.data), writing_under(job.folder), locked(job.folder):
        _train(job, torch.device(device), resume, other_execution, repair, on_progress, on_epoch)
    return [checkpoint_path(job.folder, e) for e in job.kept]


def _train(
    job: TrainingJob,
    device: torch.device,
    resume: bool,
    other_execution: bool,
    repair: bool,
    on_progress: Progress | None,
    on_epoch: Callable[[EpochMetrics], None] | None,
) -> None:
    recipe, identity = job.recipe, job.identity()
    model = job.execution.place(_first_model(job), device)
    passes = None
    if ":" in job.architecture.name:
        passes = passes_of(model, job.data, job.architecture.name)
    optimizer = descent(recipe, model, device)
    common = shared_path(job.shared, identity) if job.shared and job.shares else None
    state = _state_of_run(job, identity, resume, other_execution, repair)
    kept: dict[str, str] | None = {}
    if state is not None:
        kept = state.kept if state.kept is None else dict(state.kept)
    else:
        if job.begun in job.kept:
            kept = {str(job.begun): _keep(job, model, job.begun, {})}
        state = _state_at_switch(common, identity, repair)
    done = job.begun
    history: list[dict[str, Any]] = []
    computed: tuple[ComputedEpochs, ...] = ()
    if state is not None:
        done, history, computed = state.epoch, state.history, state.computed
        state.restore(model, optimizer)
    if done < recipe.epochs:
        computed = go_on(computed, done, job.execution, device.type)
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
        history = with_epoch(history, metrics)
        if epoch + 1 in job.kept:
            digest = _keep(job, model, epoch + 1, metrics.to_dict(), computed)
            if kept is not None:
                kept[str(epoch + 1)] = digest
            _check_there(job, None, epoch + 1)
        state = TrainingState.capture(model, optimizer, epoch + 1, history, computed, kept)
        at_switch = epoch + 1 == recipe.drw_switch
        if common is not None and at_switch and len(computed) == 1:
            with writing_under(common.parent):
                save_state(common, replace(state, kept={}), before_switch(identity))
        save_state(state_path(job.folder), state, identity)
        if on_progress:
            on_progress(_said(metrics), epoch + 1, recipe.epochs)
        if on_epoch:
            on_epoch(metrics)
    _check_there(job, kept, recipe.epochs)


def damaged_run(job: TrainingJob) -> list[str]:
    """Return what is damaged or gone of a run that was trained, as ``FILE is gone`` say."""
    try:
        state = load_state(state_path(job.folder), expected=job.identity(), other_execution=True)
    except InputError as error:
        return [str(error)]
    return damaged_checkpoints(job, state.kept, since=job.begun, until=job.recipe.epochs)


def _state_of_run(
    job: TrainingJob,
    identity: dict[str, Any],
    resume: bool,
    other_execution: bool,
    repair: bool,
) -> TrainingState | None:
    """Return the state that the run's folder holds; None: begin."""
    own = state_path(job.folder)
    if not own.exists():
        if not resume and any((job.folder / "checkpoints").glob("epoch-*.safetensors")):
            raise InputError(
                f"{job.folder} holds checkpoints already; add --resume to train over them, or "
                "choose another -o"
            )
        return None
    if not resume:
        raise InputError(f"{job.folder} holds a run already; add --resume or choose another -o")
    try:
        state = load_state(own, expected=identity, other_execution=other_execution)
    except DamagedStateError as error:
        if not repair:
            raise
        logger.warning("%s is damaged and the run is trained anew (%s)", own, error)
        return None
    if not _go_on_without_loss(job, state, repair):
        return None
    return state


def _go_on_without_loss(job: TrainingJob, state: TrainingState, repair: bool) -> bool:
    """Say whether what a run kept until its state is there; False: train it anew.

    Raises:
        InputError: it is not, and nobody wants the run to be trained anew.
    """
    past = [e for e in job.kept if job.begun <= e <= state.epoch]
    if state.kept is None:
        never = [e for e in past if not checkpoint_path(job.folder, e).exists()]
    else:
        never = [e for e in past if str(e) not in state.kept]
    if never:
        raise InputError(
            f"{job.folder} is past epochs {never}, which were not kept; leave them out of the "
            "epochs to keep, or start anew in another folder"
        )
    wrong = damaged_checkpoints(job, state.kept, since=job.begun, until=state.epoch)
    if not wrong:
        return True
    if not repair:
        raise InputError(
            f"{', '.join(wrong[:3])}; remove {state_path(job.folder)} and give the same command "
            "again, which trains the run anew to the same bytes (spectra train: with --resume)"
        )
    logger.warning("%s; the run is trained anew", ", ".join(wrong[:3]))
    return False


def _state_at_switch(
    common: Path | None, identity: dict[str, Any], repair: bool
) -> TrainingState | None:
    """Return what a run like this one until the switch left there; None: begin."""
    if common is None or not common.exists():
        return None
    try:
        return load_state(common, expected=before_switch(identity))
    except DamagedStateError as error:
        if not repair:
            raise
        logger.warning("%s is damaged and not used (%s)", common, error)
        return None


def _check_there(job: TrainingJob, kept: Mapping[str, str] | None, done: int) -> None:
    """Raise InputError where a checkpoint that this run wrote or found has gone since."""
    wrong = damaged_checkpoints(job, kept, since=job.begun, until=done)
    if wrong:
        raise InputError(
            f"{', '.join(wrong[:3])}, since this run began; leave its folder alone, remove "
            f"{state_path(job.folder)} and give the same command again (spectra train: with "
            "--resume)"
        )


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
