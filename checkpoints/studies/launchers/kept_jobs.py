"""Which jobs a study has handed out, and how they ended, as files of its folder say.

They are JSON of ours, read as a stranger's: the pickles that submitit leaves are never opened here.
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from checkpoints.studies.steps import Step
from spectra.errors import InputError
from spectra.results.plain import from_plain, to_plain
from spectra.system.files.documents import read_json
from spectra.system.files.names import file_name
from spectra.system.files.writing import write_json

_JOB = re.compile(r"[0-9]{1,20}(_[0-9]{1,10})?")


@dataclass(frozen=True)
class HandedOut:
    """A step that was handed out.

    Attributes:
        step: as :func:`name_of` names it.
        job: its number on the cluster, ``1234_5`` in an array; with ``local`` of a process.
        launcher: which handed it out.
        log: file of what it says.
    """

    step: str
    job: str
    launcher: str
    log: str


@dataclass(frozen=True)
class _Jobs:
    """``jobs/jobs.json``."""

    jobs: tuple[HandedOut, ...] = ()


@dataclass(frozen=True)
class _End:
    """``jobs/ended/STEP.json``: what a job that has ended said; None: all went well."""

    error: str | None = None


@dataclass(frozen=True)
class KeptJobs:
    """The files in ``jobs`` of a study's folder.

    Attributes:
        folder: of the study.
        handed_out: what ``jobs.json`` said when it was last read or written, by the step's name.
    """

    folder: Path
    handed_out: dict[str, HandedOut] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """The folder of these files."""
        return self.folder / "jobs"

    def read(self) -> None:
        """Take up what an earlier call has handed out.

        Raises:
            InputError: the file is damaged; says how to find out what still runs.
        """
        path = self.place / "jobs.json"
        if not path.exists():
            return
        try:
            plain = read_json(path, what="a list of jobs")
            found = from_plain(plain, _Jobs, origin=str(path)).jobs
            for one in found:
                if not _JOB.fullmatch(one.job):
                    raise InputError(f"{path}: {one.job[:60]!r} is no number of a job")
        except InputError as error:
            raise InputError(
                f"{error}; look with squeue that no job of this study runs, delete the file and "
                "give the same command again: what is finished is kept"
            ) from error
        self.handed_out.update({one.step: one for one in found})

    def hand_out(self, jobs: Iterable[HandedOut]) -> None:
        """Write down which jobs do which steps."""
        self.handed_out.update({one.step: one for one in jobs})
        write_json(self.place / "jobs.json", to_plain(_Jobs(tuple(self.handed_out.values()))))

    def forget_end(self, step: Step | None) -> None:
        """Remove what an earlier job of a step said at its end."""
        with contextlib.suppress(FileNotFoundError):
            self._end_of(step).unlink()

    def end(self, step: Step | None, error: str | None) -> None:
        """Write down, within a job, how it ended.

        Args:
            step: that it was to do.
            error: in one line; None: it did it.
        """
        write_json(self._end_of(step), to_plain(_End(error)))

    def ended(self, step: Step | None) -> bool:
        """Say whether the job of a step has written down how it ended."""
        return self._end_of(step).exists()

    def error_of(self, step: Step | None) -> str | None:
        """Return what the job of a step that has ended said; None: all went well."""
        path = self._end_of(step)
        plain = read_json(path, what="the end of a job")
        return from_plain(plain, _End, origin=str(path)).error

    def _end_of(self, step: Step | None) -> Path:
        return self.place / "ended" / f"{file_name(name_of(step))}.json"


def name_of(step: Step | None) -> str:
    """Return what a step is called where jobs are listed; None is the whole study's result.

    Example:
        >>> from checkpoints.studies.launchers.kept_jobs import name_of
        >>> from checkpoints.studies.steps import Step
        >>> name_of(Step("ce-drw", 0, "training")), name_of(Step("vs", 1, "analyses", "test"))
        ('training of ce-drw-seed0', 'analyses of vs-seed1 on test')
        >>> name_of(None)
        'results of the study'
    """
    if step is None:
        return "results of the study"
    return f"{step.kind} of {step.run}" + (f" on {step.split}" if step.split else "")
