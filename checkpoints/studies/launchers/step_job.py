"""One step of a study as a job: it needs nothing of the process that handed it out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from checkpoints.data import load_data
from checkpoints.studies.gathering import gather
from checkpoints.studies.launchers.kept_jobs import KeptJobs
from checkpoints.studies.steps import Step, StepsOfStudy
from checkpoints.studies.study import Study
from checkpoints.training.execution import Execution
from checkpoints.training.threads import suitable_threads
from spectra.errors import InputError, first_line
from spectra.system.files.limits import raised_limits
from spectra.system.files.places import writing_under


@dataclass(frozen=True)
class StepJob:
    """What a job is given, small enough for a file: it reads the images itself.

    Attributes:
        study: whose step it is.
        folder: of the study.
        device: torch device; ``auto``: a GPU where the job has one, else the CPU.
        execution: how training passes are computed.
        limits: of files that are read, as in the process that hands the job out.
        step: what to do; None: put the whole study together.
    """

    study: Study
    folder: Path
    device: str
    execution: Execution
    limits: Mapping[str, int]
    step: Step | None

    def __call__(self) -> None:
        """Do the step, and leave word of how it ended, which a job that is stopped does not."""
        kept = KeptJobs(self.folder)
        try:
            with raised_limits(**self.limits):
                self._do()
        except Exception as error:
            said = str(error) if isinstance(error, InputError) else first_line(error)
            kept.end(self.step, said or type(error).__name__)
            raise
        kept.end(self.step, None)

    def checkpoint(self) -> Any:
        """Return what goes on where the cluster stops the job: the same, as all is kept in files.

        submitit calls it when Slurm says that the job's time is over or its machine is wanted.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _do(self) -> None:
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        data = load_data(self.study.data)
        steps = StepsOfStudy(self.study, self.folder, data, device, self.execution)
        with suitable_threads(data), writing_under(self.folder):
            if self.step is None:
                gather(steps)
            else:
                steps.do(self.step)
