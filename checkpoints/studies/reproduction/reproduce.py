"""From a study to its result: train, measure, and put the numbers beside the published ones."""

from dataclasses import dataclass, field
from pathlib import Path

from checkpoints.analysis.trajectory import common_switch
from checkpoints.data import ImageData, load_data
from checkpoints.load import load_checkpoint
from checkpoints.studies.claimed_folder import refuse_damaged
from checkpoints.studies.reproduction.description import Reproduction, claim, reproduction_data
from checkpoints.studies.reproduction.measure import accuracy, compare, theorem
from checkpoints.studies.reproduction.table import beside_published
from checkpoints.studies.reproduction.trainings import Run, job_of, planned_runs, train_run
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.job import TrainingJob
from checkpoints.training.kept.found_state import damaged_run
from checkpoints.training.threads import suitable_threads
from spectra import Analysis
from spectra.classes.identity import library_versions
from spectra.results.directions.theorem_result import TheoremResult
from spectra.results.protocol_rows import protocol_rows
from spectra.results.reproduction_result import (
    MeasuredRun,
    ReproductionResult,
    SpectraRun,
    reproduction_to_plain,
    theorem_runs,
)
from spectra.system.files.lock import locked
from spectra.system.files.places import writing_under
from spectra.system.files.writing import write_json
from spectra.system.progress import Progress, within


def run_reproduction(
    study: Reproduction,
    folder: Path,
    *,
    source: str | None = None,
    device: str = "cpu",
    execution: Execution = EXACT,
    on_progress: Progress | None = None,
) -> ReproductionResult:
    """Train and measure; write ``folder/result.json`` after each network.

    What an earlier call finished is kept; what is not yet there is *not run* in the file.

    Args:
        study: which, and at which size.
        folder: where all of it goes.
        source: of the data, see :class:`checkpoints.DataRequest`; None: CIFAR where
            ``SPECTRA_DATA`` says, else for ``smoke`` the digits.
        device: torch device.
        execution: how training passes are computed.
        on_progress: called with (``ce seed 0 epoch 200 class 8`` say, done, planned).

    Raises:
        InputError: the data is missing, the folder holds another study, another process works on
            it, or checkpoints are gone or damaged at its end.
    """
    request = reproduction_data(study, source)
    data = load_data(request)
    finished = _Finished()
    jobs: list[TrainingJob] = []
    with suitable_threads(data), writing_under(folder), locked(folder):
        claim(study, data, folder)
        planned = planned_runs(study, folder)
        for k, run in enumerate(planned, 1):
            name = f"{run.row} seed {run.seed}"
            report = within(on_progress, name, part=k, of=len(planned))
            jobs.append(job_of(study, run, request, data, execution))
            paths = train_run(jobs[-1], device, report)
            _measure(finished, study, run, paths, data, device, folder, report)
            result = _result(study, data, finished)
            write_json(folder / "result.json", reproduction_to_plain(result))
        refuse_damaged(folder, [each for job in jobs for each in damaged_run(job)])
    return result


@dataclass
class _Finished:
    """What is there of a study: measured runs, and the analyses and theorems behind them by run."""

    measured: list[MeasuredRun] = field(default_factory=list)
    analyses: dict[str, dict[str, list[Analysis]]] = field(default_factory=dict)
    theorems: dict[str, TheoremResult] = field(default_factory=dict)


def _measure(
    finished: _Finished,
    study: Reproduction,
    run: Run,
    paths: list[Path],
    data: ImageData,
    device: str,
    folder: Path,
    on_progress: Progress | None,
) -> None:
    """Measure a trained network and put what was found to what is finished."""
    name = f"{run.row} seed {run.seed}"
    if study.kind == "accuracy":
        finished.measured.append(accuracy(run, data))
        return
    for path in paths if study.every_epoch else paths[-1:]:
        checkpoint = load_checkpoint(str(path))
        if study.kind == "theorem":
            found = theorem(study, checkpoint, data, device, on_progress)
            finished.theorems[name] = found
            finished.measured += theorem_runs(run.row, run.seed, found.classes)
            continue
        by_protocol = compare(study, run, checkpoint, data, device, folder, on_progress)
        for protocol, analysis in by_protocol.items():
            finished.analyses.setdefault(name, {}).setdefault(protocol, []).append(analysis)
        finished.measured += [
            SpectraRun(f"{run.row} class {row.label}", run.seed, checkpoint.epoch, row)
            for row in protocol_rows(by_protocol)
        ]


def _result(study: Reproduction, data: ImageData, finished: _Finished) -> ReproductionResult:
    """Return what is finished beside the published numbers; the other rows are not run."""
    analyses = finished.analyses
    flat = [a for by_name in analyses.values() for found in by_name.values() for a in found]
    return ReproductionResult(
        study=study.name,
        size=study.size,
        data=data.name,
        title=study.title,
        note=study.settings.note,
        source=study.source,
        versions=library_versions(),
        rows=tuple(beside_published(study.published, finished.measured)),
        runs=tuple(finished.measured),
        analyses=analyses,
        theorems=finished.theorems,
        density_classes=tuple(study.classes.split(",")) if study.density else (),
        over_training=study.every_epoch,
        switch_epoch=common_switch(flat),
    )
