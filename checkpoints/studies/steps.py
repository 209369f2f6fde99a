"""The steps of a study: each recipe and seed is trained, then analyzed on each split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from checkpoints.analysis.request import AnalysisRequest
from checkpoints.analysis.trajectory import analyze_trajectory, damaged_results
from checkpoints.data import ImageData
from checkpoints.load import LoadOptions, load_checkpoint
from checkpoints.studies.curvature_images import damaged_images, keep_images
from checkpoints.studies.study import Study
from checkpoints.training.execution import Execution
from checkpoints.training.job import TrainingJob, checkpoint_path
from checkpoints.training.kept.found_state import damaged_run
from checkpoints.training.request import TrainRequest, training_job
from checkpoints.training.run import train_job
from spectra import Analysis
from spectra.system.files.lock import locked
from spectra.system.files.names import file_name
from spectra.system.progress import Progress, within


class Step(NamedTuple):
    """One step; those of one recipe and seed need its training, and nothing of each other.

    Attributes:
        recipe: its name.
        seed: of the training.
        kind: what is done.
        split: on which images it is analyzed; empty for a training.
    """

    recipe: str
    seed: int
    kind: Literal["training", "analyses", "trajectories", "images"]
    split: str = ""

    @property
    def run(self) -> str:
        """The name of what is trained."""
        return f"{self.recipe}-seed{self.seed}"


@dataclass(frozen=True)
class StepsOfStudy:
    """What a study does, on which data, into which folder. A step that was done is only read.

    Attributes:
        study: what to do.
        folder: of the study.
        data: as the study asks for.
        device: torch device for training and analysis.
        execution: how training passes are computed.
    """

    study: Study
    folder: Path
    data: ImageData
    device: str
    execution: Execution

    def trainings(self) -> list[Step]:
        """Return the steps that need no other, in the order of the study."""
        study = self.study
        return [Step(recipe, seed, "training") for recipe in study.recipes for seed in study.seeds]

    def in_order(self) -> list[Step]:
        """Return all steps in the order of the study, each training before what needs it."""
        return [step for first in self.trainings() for step in (first, *self.after(first))]

    def missing(self, steps: Iterable[Step]) -> list[Step]:
        """Return which of some steps do not seem done."""
        return [step for step in steps if not self.seems_done(step)]

    def first_missing(self) -> list[Step]:
        """Return what can be begun: trainings, and what is missing behind those that are done."""
        first: list[Step] = []
        for training in self.trainings():
            first += self.missing([training]) or self.missing(self.after(training))
        return first

    def after(self, step: Step) -> list[Step]:
        """Return the steps that need this one."""
        if step.kind != "training":
            return []
        steps = [step._replace(kind="analyses", split=split) for split in self.study.splits]
        if self.study.trajectory is not None:
            split = self.study.trajectory.split
            steps.append(step._replace(kind="trajectories", split=split))
        if self.study.images is not None:
            steps.append(step._replace(kind="images", split=self.study.images.split))
        return steps

    def do(self, step: Step, on_progress: Progress | None = None) -> list[Analysis]:
        """Train or analyze; return the analyses, none for a training and for images.

        Args:
            step: what to do.
            on_progress: called with (``ce-seed0 epoch 100 class 8`` say, steps done, planned).
        """
        if step.kind == "training":
            self._train(step, on_progress)
            return []
        request = replace(self._request(step), split=step.split, device=self.device)
        options, place = LoadOptions(arch=self.study.arch), self.place_of(step)
        said = within(on_progress, step.run)
        kept = self.job(step).kept
        if step.kind == "images":
            run = f"{self._run_folder(step)}@{kept[-1]}"
            with locked(place):
                checkpoint = load_checkpoint(run, options)
                keep_images(checkpoint, self.data, request, folder=place, on_progress=said)
            return []
        return analyze_trajectory(
            str(self._run_folder(step)),
            request,
            folder=place,
            epochs=kept if step.kind == "trajectories" else kept[-1:],
            options=options,
            data=self.data,
            on_progress=said,
        )

    def seems_done(self, step: Step) -> bool:
        """Say whether a step's last file is there; whether it is sound, :meth:`do` finds out."""
        job = self.job(step)
        if step.kind == "training":
            return checkpoint_path(job.folder, job.kept[-1]).exists()
        if step.kind == "images":
            return (self.place_of(step) / "images.json").exists()
        return (self.place_of(step) / f"epoch-{job.kept[-1]:04d}.json").exists()

    def damaged(self, step: Step, analyses: Sequence[Analysis]) -> list[str]:
        """Return what is damaged or gone of a step that was done, as ``FILE is gone`` say."""
        if step.kind == "training":
            return damaged_run(self.job(step))
        if step.kind == "images":
            return damaged_images(self.place_of(step))
        return damaged_results(self.place_of(step), analyses)

    def job(self, step: Step) -> TrainingJob:
        """Put the training together that a step is, or needs."""
        study = self.study
        request = TrainRequest(
            recipe=step.recipe,
            data=study.data,
            arch=study.arch,
            overrides=study.overrides_of(step.recipe),
            seed=step.seed,
            keep_epochs=study.keep_epochs,
            execution=self.execution,
        )
        return training_job(request, self._run_folder(step), data=self.data)

    def place_of(self, step: Step) -> Path:
        """Return where the results of an analysis go."""
        return self.folder / step.kind / self._name(step) / file_name(step.split)

    def _train(self, step: Step, on_progress: Progress | None) -> None:
        def trained(_: str, epoch: int, epochs: int) -> None:
            if on_progress:
                on_progress(f"{step.run} train", epoch, epochs)

        train_job(self.job(step), device=self.device, resume=True, repair=True, on_progress=trained)

    def _request(self, step: Step) -> AnalysisRequest:
        study = self.study
        if step.kind == "trajectories" and study.trajectory is not None:
            return study.trajectory
        if step.kind == "images" and study.images is not None:
            return study.images
        return study.request

    def _name(self, step: Step) -> str:
        """The name of its folders."""
        return f"{file_name(step.recipe)}-seed{step.seed}"

    def _run_folder(self, step: Step) -> Path:
        return self.folder / "training" / self._name(step)
