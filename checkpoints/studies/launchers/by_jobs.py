"""Do a study by jobs: trainings first, what needs each as soon as it is done, then the whole."""

import contextlib
import functools
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from checkpoints.studies.launchers.job_queue import JobQueue
from checkpoints.studies.launchers.kept_jobs import HandedOut, KeptJobs, name_of
from checkpoints.studies.launchers.launcher import Launcher
from checkpoints.studies.launchers.local import LocalQueue
from checkpoints.studies.launchers.slurm import SlurmQueue
from checkpoints.studies.launchers.step_job import StepJob
from checkpoints.studies.steps import Step, StepsOfStudy
from spectra.errors import InputError
from spectra.system.files.limits import limits_in_force
from spectra.system.files.names import file_name
from spectra.system.progress import Progress

logger = logging.getLogger(__name__)

# Ours: seconds between two looks at the files in which jobs write how they ended.
_LOOK = 0.5


def do_by_jobs(
    steps: StepsOfStudy, launcher: Launcher, *, on_progress: Progress | None = None
) -> None:
    """Do what is missing of a study, and write its ``results.json``, by jobs of a cluster.

    Jobs of an earlier call that still wait or run are waited for, not handed out again. The last
    job puts everything together as a resumed study does, and so checks it: on a machine like those
    that did the work, which the one that waits need not be.

    Args:
        steps: of the study, whose folder the caller holds.
        launcher: hands the jobs out.
        on_progress: called with (``jobs``, those that have ended, those that are known of).

    Raises:
        InputError: submitit or the cluster is missing, or jobs failed: which, as what, and where
            their logs are; the others were waited for.
    """
    folder = steps.folder.absolute()
    # New for each call: a job opens the pickle that bears its number, and no stranger's is there.
    began = f"{datetime.now():%Y-%m-%d-%H%M%S}-{secrets.token_hex(4)}"
    logs = (launcher.logs or folder / "jobs" / "logs").absolute() / began
    if "%" in str(logs):
        raise InputError(f"{logs}: Slurm takes % for a sign of its own; choose another --logs")
    if steps.device.partition(":")[0] not in ("auto", "cpu", "cuda"):
        raise InputError(f"device must be auto, cpu or cuda for jobs, got {steps.device!r}")
    queue: JobQueue
    if launcher.name == "slurm":
        queue = SlurmQueue(launcher, logs, title=file_name(steps.study.name), device=steps.device)
    else:
        queue = LocalQueue(launcher, logs, device=steps.device, at_once=launcher.at_once or 1)
    kept = KeptJobs(steps.folder)
    kept.read()
    job = functools.partial(
        StepJob, steps.study, folder, steps.device, steps.execution, asdict(limits_in_force())
    )
    work = _Work(steps, queue, kept, job, on_progress)
    with contextlib.closing(queue):
        work.take_up()
        for ready in (steps.first_missing(), [None]):
            work.do(ready)
            if work.failed:
                raise InputError(work.complaint())


@dataclass
class _Work:
    """Jobs under way; None stands for the step that puts the whole study together.

    Attributes:
        steps: of the study.
        queue: where jobs wait and run.
        kept: what is written down of them.
        job: makes the job of a step.
        on_progress: see :func:`do_by_jobs`.
        running: the numbers of the jobs that are waited for, by step.
        failed: steps that were not done.
        asked: when the queue was last asked what runs, by :func:`time.monotonic`.
        gone_since: since when the queue has not known a job, by its number.
        done: how many steps of the study are done.
    """

    steps: StepsOfStudy
    queue: JobQueue
    kept: KeptJobs
    job: "functools.partial[StepJob]"
    on_progress: Progress | None
    running: dict[Step | None, str] = field(default_factory=dict)
    failed: list[Step | None] = field(default_factory=list)
    asked: float = 0.0
    gone_since: dict[str, float] = field(default_factory=dict)
    done: int = 0

    def __post_init__(self) -> None:
        planned = self.steps.in_order()
        self.done = len(planned) - len(self.steps.missing(planned))

    def take_up(self) -> None:
        """Wait for jobs that an earlier call has handed out and that still wait or run."""
        numbers = {
            step: self.kept.handed_out[name_of(step)].job
            for step in (*self.steps.in_order(), None)
            if name_of(step) in self.kept.handed_out
            and self.kept.handed_out[name_of(step)].launcher == self.queue.name
        }
        alive = self.queue.alive(set(numbers.values())) if numbers else set()
        self.running.update({step: job for step, job in numbers.items() if job in alive})
        if self.running:
            logger.warning("taken up from an earlier call: %s", _jobs(len(self.running)))

    def do(self, ready: Sequence[Step | None]) -> None:
        """Do some steps and what follows from them; return when all have ended."""
        try:
            waiting = [step for step in ready if step not in self.running]
            while waiting or self.running:
                waiting = self._hand_out(waiting)
                self._say()
                time.sleep(_LOOK)
                for step in list(self.running):
                    if self.kept.ended(step):
                        waiting += self._end(step, self.kept.error_of(step))
                for step in self._lost():
                    state = self.queue.state(self.running[step])
                    self._end(step, f"it ended without a word{state and f', as {state}'}")
        except BaseException:
            if self.running and (said := self.queue.leave(list(self.running.values()))):
                logger.warning("%s", said)
            raise

    def complaint(self) -> str:
        """Return what is said at the end where steps failed."""
        left = len(self.steps.missing(self.steps.in_order())) - len(self.failed)
        behind = f", and {left} that need them were not begun" if left > 0 else ""
        names = ", ".join(map(name_of, self.failed))
        return (
            f"{_jobs(len(self.failed))} failed: {names}{behind}; what is finished is kept: mend "
            "that and give the same command again"
        )

    def _hand_out(self, waiting: list[Step | None]) -> list[Step | None]:
        """Hand out as many of some steps as the queue takes now; return the others."""
        most = self.queue.at_once
        room = len(waiting) if most is None else max(0, most - len(self.running))
        now, later = waiting[:room], waiting[room:]
        if now:
            for step in now:
                self.kept.forget_end(step)
            numbers = self.queue.submit([self.job(step) for step in now])
            self.running.update(zip(now, numbers, strict=True))
            self.kept.hand_out(
                [
                    HandedOut(name_of(step), job, self.queue.name, str(self.queue.log(job)))
                    for step, job in zip(now, numbers, strict=True)
                ]
            )
        return later

    def _end(self, step: Step | None, error: str | None) -> list[Step | None]:
        """Note how a step's job has ended; return what can be begun now."""
        job = self.running.pop(step)
        if error is None and step is not None and not self.steps.seems_done(step):
            error = "it says that it is done and has left no files"
        if error is None:
            self.done += 1
            return [] if step is None else list(self.steps.missing(self.steps.after(step)))
        self.failed.append(step)
        log = self.kept.handed_out[name_of(step)].log
        logger.warning("%s, job %s, failed: %s; its log is %s", name_of(step), job, error, log)
        return []

    def _lost(self) -> list[Step | None]:
        """Return steps whose jobs neither run nor have said in time how they ended."""
        now = time.monotonic()
        if self.running and now - self.asked >= self.queue.look:
            self.asked = now
            try:
                alive = self.queue.alive(list(self.running.values()))
            except InputError as error:
                logger.warning("%s; asked again in %.0f s", error, self.queue.look)
                return []
            gone = set(self.running.values()) - alive
            self.gone_since = {job: self.gone_since.get(job, now) for job in gone}
        return [
            step
            for step, job in self.running.items()
            if now - self.gone_since.get(job, now) > self.queue.patience
        ]

    def _say(self) -> None:
        if self.on_progress:
            planned = len(self.steps.in_order()) + 1
            self.on_progress(f"jobs ({len(self.running)} handed out)", self.done, planned)


def _jobs(number: int) -> str:
    return f"{number} job{'s' * (number != 1)}"
