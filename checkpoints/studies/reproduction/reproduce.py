"""From a study to its result: train, measure, and put the numbers beside the published ones."""

from pathlib import Path

from checkpoints.analysis.trajectory import common_switch
from checkpoints.data import load_data
from checkpoints.load import load_checkpoint
from checkpoints.studies.reproduction.description import Reproduction, claim, reproduction_data
from checkpoints.studies.reproduction.measure import accuracy, compare, theorem
from checkpoints.studies.reproduction.table import beside_published
from checkpoints.studies.reproduction.trainings import planned_runs, train_run
from checkpoints.training.execution import EXACT, Execution
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
from spectra.system.files import write_json
from spectra.system.lock import locked
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
    """Train and measure; write ``folder/result.json``. What an earlier call finished is kept.

    Args:
        study: which, and at which size.
        folder: where all of it goes.
        source: of the data, see :class:`checkpoints.DataRequest`; None: CIFAR where
            ``SPECTRA_DATA`` says, else for ``smoke`` the digits.
        device: torch device.
        execution: how training passes are computed.
        on_progress: called with (``ce seed 0 epoch 200 class 8`` say, done, planned).

    Raises:
        InputError: the data is missing, the folder holds another study, or another process works
            on it.
    """
    request = reproduction_data(study, source)
    data = load_data(request)
    claim(study, data, folder)
    runs = planned_runs(study, folder)
    analyses: dict[str, dict[str, list[Analysis]]] = {}
    theorems: dict[str, TheoremResult] = {}
    measured: list[MeasuredRun] = []
    with suitable_threads(data), locked(folder):
        for run in runs:
            name = f"{run.row} seed {run.seed}"
            report = within(on_progress, name)
            paths = train_run(study, run, request, data, device, execution, report)
            if study.kind == "accuracy":
                measured.append(accuracy(run, data))
                continue
            for path in paths if study.every_epoch else paths[-1:]:
                checkpoint = load_checkpoint(str(path))
                if study.kind == "theorem":
                    theorems[name] = theorem(study, checkpoint, data, device, report)
                    measured += theorem_runs(run.row, run.seed, theorems[name].classes)
                    continue
                found = compare(study, run, checkpoint, data, device, folder, report)
                for protocol, analysis in found.items():
                    analyses.setdefault(name, {}).setdefault(protocol, []).append(analysis)
                measured += [
                    SpectraRun(f"{run.row} class {row.label}", run.seed, checkpoint.epoch, row)
                    for row in protocol_rows(found)
                ]
        versions = library_versions()
    all_analyses = [a for by_name in analyses.values() for found in by_name.values() for a in found]
    result = ReproductionResult(
        study=study.name,
        size=study.size,
        data=data.name,
        title=study.title,
        note=study.settings.note,
        source=study.source,
        versions=versions,
        rows=tuple(beside_published(study.published, measured)),
        runs=tuple(measured),
        analyses=analyses,
        theorems=theorems,
        density_classes=tuple(study.classes.split(",")) if study.density else (),
        over_training=study.every_epoch,
        switch_epoch=common_switch(all_analyses),
    )
    write_json(folder / "result.json", reproduction_to_plain(result))
    return result
