"""The state that a run's folder holds, where it goes on: found whole, or trained anew."""

import logging
from pathlib import Path
from typing import Any

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
    load_state,
)
from spectra.errors import InputError

logger = logging.getLogger(__name__)


def damaged_run(job: TrainingJob) -> list[str]:
    """Return what is damaged or gone of a run that was trained, as ``FILE is gone`` say."""
    try:
        state = load_state(state_path(job.folder), expected=job.identity(), other_execution=True)
    except InputError as error:
        return [str(error)]
    return damaged_checkpoints(job, state.kept, since=job.begun, until=job.recipe.epochs)


def state_of_run(
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


def state_at_switch(
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
