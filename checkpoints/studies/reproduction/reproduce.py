"""From a study to its result: train, measure, and put the numbers beside the published ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints.analysis.analyze import library_versions
from checkpoints.analysis.protocol_comparison import comparison_rows
from checkpoints.data import load_data
from checkpoints.load import load_checkpoint
from checkpoints.studies.reproduction.description import Reproduction, claim, reproduction_data
from checkpoints.studies.reproduction.measure import accuracy, compare, theorem, theorem_rows
from checkpoints.studies.reproduction.table import beside_published
from checkpoints.studies.reproduction.trainings import RunProgress, planned_runs, train_run
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.threads import suitable_threads
from spectra import Analysis
from spectra.system.files import write_json

FORMAT = "spectra.reproduction"
SCHEMA = 1


@dataclass(frozen=True)
class ReproductionResult:
    """What a study gave.

    Attributes:
        plain: the content of ``result.json``.
        analyses: by run and protocol, over the epochs analyzed; kind ``spectra`` alone.
        theorems: by run; kind ``theorem`` alone.
    """

    plain: dict[str, Any]
    analyses: Mapping[str, Mapping[str, Sequence[Analysis]]]
    theorems: Mapping[str, Mapping[str, Any]]


def run_reproduction(
    study: Reproduction,
    folder: Path,
    *,
    source: str | None = None,
    device: str = "cpu",
    execution: Execution = EXACT,
    on_progress: RunProgress | None = None,
) -> ReproductionResult:
    """Train and measure; write ``folder/result.json``. What an earlier call finished is kept.

    Args:
        study: which, and at which size.
        folder: where all of it goes.
        source: of the data, see :class:`DataRequest`; None: CIFAR where ``SPECTRA_DATA`` says, else
            for ``smoke`` the digits.
        device: torch device.
        execution: how training passes are computed.
        on_progress: called with (run, what, done, planned).

    Raises:
        InputError: the data is missing, or the folder holds another study.
    """
    request = reproduction_data(study, source)
    data = load_data(request)
    claim(study, data, folder)
    runs = planned_runs(study, folder)
    analyses: dict[str, dict[str, list[Analysis]]] = {}
    theorems: dict[str, dict[str, Any]] = {}
    measured: list[dict[str, Any]] = []
    with suitable_threads(data):
        for run in runs:
            name = f"{run.row} seed {run.seed}"
            paths = train_run(study, run, request, data, device, execution, on_progress)
            if study.kind == "accuracy":
                measured.append({"row": run.row, "seed": run.seed, **accuracy(run, data)})
                continue
            wanted = paths if study.every_epoch else paths[-1:]
            for path in wanted:
                checkpoint = load_checkpoint(str(path))
                report = _reporter(on_progress, name)
                if study.kind == "theorem":
                    theorems[name] = theorem(study, checkpoint, data, device, report)
                    measured += theorem_rows(run, theorems[name])
                    continue
                found = compare(study, run, checkpoint, data, device, folder, on_progress)
                for protocol, analysis in found.items():
                    analyses.setdefault(name, {}).setdefault(protocol, []).append(analysis)
                measured += [
                    {"row": f"{run.row} class {row['class']}", "seed": run.seed,
                     "epoch": checkpoint.epoch, **row}
                    for row in comparison_rows(found)
                ]  # fmt: skip
        versions = library_versions()
    plain = {
        "format": FORMAT,
        "schema": SCHEMA,
        "study": study.name,
        "size": study.size,
        "data": data.name,
        "title": study.title,
        "note": study.settings.get("note"),
        "source": study.source,
        "versions": versions,
        "rows": beside_published(study, measured),
        "runs": measured,
    }
    write_json(folder / "result.json", plain)
    return ReproductionResult(plain, analyses, theorems)


def _reporter(on_progress: RunProgress | None, name: str) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, planned: int) -> None:
        if on_progress:
            on_progress(name, what, done, planned)

    return report
