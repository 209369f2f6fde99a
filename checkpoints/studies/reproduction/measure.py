"""What is measured of each network of a study."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from checkpoints.analysis.compare_protocols import compare_protocols
from checkpoints.analysis.directions.theorem import measure_theorem
from checkpoints.analysis.request import AnalysisRequest, TheoremRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData, groups_by_size
from checkpoints.studies.reproduction.description import Reproduction
from checkpoints.studies.reproduction.trainings import Run
from checkpoints.training.job import state_path
from checkpoints.training.resume import load_history
from spectra import Analysis, SolverSettings
from spectra.results.directions.theorem_result import TheoremResult
from spectra.results.reproduction_result import AccuracyRun
from spectra.system.progress import Progress, within


def accuracy(run: Run, data: ImageData) -> AccuracyRun:
    """Return test accuracies of the last epoch in per cent, and the best overall beside them."""
    epochs = load_history(state_path(run.folder))
    tested = [epoch.test for epoch in epochs if epoch.test is not None]
    if not tested:
        return AccuracyRun(run.row, run.seed, None, None, None, None, None)
    last = tested[-1].accuracy
    head, mid, tail = (
        _mean_percent([last[c] for c in classes])
        for classes in groups_by_size(data.class_counts).values()
    )
    # Of many classes an earlier epoch has its accuracy over images alone.
    overall = [_mean_percent(t.accuracy) if t.accuracy else 100 * t.overall for t in tested]
    return AccuracyRun(
        row=run.row,
        seed=run.seed,
        overall=overall[-1],
        head=head,
        mid=mid,
        tail=tail,
        best_on_test=max((o for o in overall if o is not None), default=None),
    )


def _mean_percent(rates: Sequence[float | None]) -> float | None:
    """Return 100 times the mean over the classes that have test images."""
    present = [rate for rate in rates if rate is not None]
    return 100 * statistics.fmean(present) if present else None


def _request(study: Reproduction, device: str) -> AnalysisRequest:
    solver = SolverSettings(num_probes=1 if study.density else 0)
    if study.settings.num_steps is not None:
        solver = replace(solver, num_steps=study.settings.num_steps)
    return AnalysisRequest(
        classes=study.classes,
        images_per_class=study.settings.images_per_class,
        device=device,
        solver=solver,
    )


def compare(
    study: Reproduction,
    run: Run,
    checkpoint: Checkpoint,
    data: ImageData,
    device: str,
    folder: Path,
    on_progress: Progress | None,
) -> dict[str, Analysis]:
    """Return the analysis under each of the study's protocols; those in ``folder`` are kept."""
    return compare_protocols(
        checkpoint,
        data,
        _request(study, device),
        folder=folder / "analyses" / run.folder.name / f"epoch-{checkpoint.epoch:04d}",
        protocols=study.images,
        num_steps=study.settings.num_steps,
        on_progress=within(on_progress, f"epoch {checkpoint.epoch}"),
    )


def theorem(
    study: Reproduction,
    checkpoint: Checkpoint,
    data: ImageData,
    device: str,
    on_progress: Progress | None,
) -> TheoremResult:
    """Return SAM's amplification at a checkpoint, as ``spectra theorem`` measures it."""
    request = TheoremRequest(_request(study, device))
    if study.settings.num_batches is not None:
        request = replace(request, num_batches=study.settings.num_batches)
    return measure_theorem(checkpoint, data, request, on_progress=on_progress)
