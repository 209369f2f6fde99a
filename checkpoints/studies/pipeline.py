"""Run a study from training to results, step by step, so that a killed one goes on."""

import contextlib
import functools
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path

import torch

from checkpoints.data import ImageData, load_data
from checkpoints.studies.check_study import check_study
from checkpoints.studies.claimed_folder import claim_folder
from checkpoints.studies.gathering import gather
from checkpoints.studies.launchers.by_jobs import do_by_jobs
from checkpoints.studies.launchers.launcher import Launcher
from checkpoints.studies.side_by_side import side_by_side
from checkpoints.studies.steps import Step, StepsOfStudy
from checkpoints.studies.study import Study, load_study
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.threads import suitable_threads, worth_one_thread
from spectra.results.study_result import StudyResult, load_study_result
from spectra.system.files.lock import locked
from spectra.system.files.names import file_name
from spectra.system.files.places import writing_under
from spectra.system.progress import Progress

# Ours: starting a process takes some 3 s of a core, which then trains 20,000 images of 8x8; a
# study of fewer than five times as many is done sooner than it is handed out.
_WORTH_HANDING_OUT = 100_000


def run_study(
    study: Study | str | Path,
    folder: str | Path | None = None,
    *,
    device: str = "cpu",
    execution: Execution = EXACT,
    jobs: int | None = 1,
    launcher: Launcher | None = None,
    on_progress: Progress | None = None,
    on_result: Callable[[StudyResult], None] | None = None,
) -> StudyResult:
    """Train, analyze, and write ``folder/results.json``; skip what an earlier call finished.

    A study that was killed at any moment and started again writes the same bytes as one that was
    not (same CPU, same number of threads), and so does one with other ``jobs`` or a ``launcher``.

    Args:
        study: what to do, or the TOML file that says it.
        folder: of the study; must not hold another one. None: ``runs/NAME``.
        device: torch device for training and analysis.
        execution: how training passes are computed.
        jobs: trainings and analyses at once, each in a process of its own, as
            :func:`checkpoints.studies.side_by_side.side_by_side` starts them; None:
            :func:`suitable_jobs`.
        launcher: hands every step to a cluster, or to processes here, as a job of its own, in
            place of ``jobs``; a job may also find ``device`` ``auto``: a GPU where it has one.
        on_progress: called with (``ce-seed0 epoch 100 class 8`` say, steps done, steps planned).
        on_result: called after each analysis of a last epoch with all that there are so far; with
            a launcher never.

    Raises:
        InputError: the folder holds another study, another process works on it, the study does
            not fit the data, files that were written are gone or damaged at its end, or a job of
            the launcher failed.
    """
    if not isinstance(study, Study):
        study = load_study(Path(study))
    folder = Path("runs") / file_name(study.name) if folder is None else Path(folder)
    data = load_data(study.data)
    steps = StepsOfStudy(study, folder, data, device, execution)
    trainings = steps.trainings()
    check_study(study, data, [steps.job(step) for step in trainings])
    if jobs is None:
        jobs = suitable_jobs(study, data, device)
    with suitable_threads(data), writing_under(folder), locked(folder):
        _claim(study, folder)
        if launcher is not None:
            do_by_jobs(steps, launcher, on_progress=on_progress)
            return load_study_result(folder / "results.json")
        with contextlib.closing(_at_once(steps, jobs, on_progress)) as at_once:
            return gather(steps, at_once=at_once, on_progress=on_progress, on_result=on_result)


def suitable_jobs(study: Study, data: ImageData, device: str) -> int:
    """Return how many trainings and analyses of a study are worth doing at once.

    As many as torch would use threads, where the images are so small that one thread is as fast
    as several, and where there is enough to do; else one.
    """
    if device != "cpu" or not worth_one_thread(data):
        return 1
    steps = StepsOfStudy(study, Path(), data, device, EXACT)
    epochs = sum(steps.job(step).recipe.epochs for step in steps.trainings())
    if epochs * len(data.train.labels) < _WORTH_HANDING_OUT:
        return 1
    return torch.get_num_threads()


def _at_once(
    steps: StepsOfStudy, jobs: int, on_progress: Progress | None
) -> Generator[Step, None, None]:
    """Do what is not done yet in processes side by side, and yield the steps as they end.

    Closing it ends the processes: whatever stops the study stops them.
    """
    first = steps.first_missing()
    if jobs == 1 or not first:
        return
    yield from side_by_side(
        functools.partial(_do, steps),
        first,
        jobs=jobs,
        after=lambda step: steps.missing(steps.after(step)),
        on_progress=on_progress,
    )


def _do(steps: StepsOfStudy, step: Step, on_progress: Progress | None) -> None:
    """Do one step in a process of its own."""
    with suitable_threads(steps.data), writing_under(steps.folder):
        steps.do(step, on_progress)


def _claim(study: Study, folder: Path) -> None:
    """Write the study's description, or check that the folder's is the same."""
    described = asdict(study)
    if study.images is None:
        del described["images"]  # as studies were described that had none
    claim_folder(
        folder,
        described,
        other=f"{folder} holds another study of this name; choose another -o, or remove it",
    )
