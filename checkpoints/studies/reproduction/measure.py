"""What is measured of each network of a study."""

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from checkpoints.analysis.protocol_comparison import compare_protocols
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.analysis.theorem import TheoremRequest, measure_theorem, theorem_to_dict
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData, head_mid_tail
from checkpoints.studies.reproduction.description import Reproduction
from checkpoints.studies.reproduction.trainings import Run, RunProgress
from checkpoints.training.resume import load_history
from spectra import Analysis, SolverSettings

_ACCURACIES = ("overall", "head", "mid", "tail", "best_on_test")


def accuracy(run: Run, data: ImageData) -> dict[str, Any]:
    """Return test accuracies of the last epoch in per cent, and the best overall beside them."""
    history = [h["test"] for h in load_history(run.folder / "resume.safetensors") if h.get("test")]
    if not history:
        nothing: dict[str, Any] = dict.fromkeys(_ACCURACIES)
        return nothing
    last = history[-1]["accuracy"]
    groups = head_mid_tail(data.class_counts)
    found: dict[str, Any] = {"overall": 100 * statistics.fmean(last)}
    for name, classes in groups.items():
        found[name] = 100 * statistics.fmean(last[c] for c in classes) if classes else None
    best = max(statistics.fmean(h["accuracy"]) for h in history)
    return {**found, "best_on_test": 100 * best}


def _request(study: Reproduction, device: str) -> AnalysisRequest:
    solver: dict[str, Any] = {"num_probes": 1 if study.density else 0}
    if "num_steps" in study.settings:
        solver["num_steps"] = study.settings["num_steps"]
    return AnalysisRequest(
        classes=study.classes,
        images_per_class=study.settings.get("images_per_class"),
        device=device,
        solver=SolverSettings(**solver),
    )


def compare(
    study: Reproduction,
    run: Run,
    checkpoint: Checkpoint,
    data: ImageData,
    device: str,
    folder: Path,
    on_progress: RunProgress | None,
) -> dict[str, Analysis]:
    """Return the analysis under each of the study's protocols; those in ``folder`` are kept."""

    def report(protocol: str, label: str, done: int, planned: int) -> None:
        if on_progress:
            what = f"epoch {checkpoint.epoch} {protocol} class {label}"
            on_progress(f"{run.row} seed {run.seed}", what, done, planned)

    return compare_protocols(
        checkpoint,
        data,
        _request(study, device),
        folder=folder / "analyses" / run.folder.name / f"epoch-{checkpoint.epoch:04d}",
        protocols=study.images,
        on_progress=report,
    )


def theorem(
    study: Reproduction,
    checkpoint: Checkpoint,
    data: ImageData,
    device: str,
    report: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Return SAM's amplification at a checkpoint, as ``spectra theorem`` writes it."""
    request = TheoremRequest(
        _request(study, device), num_batches=study.settings.get("num_batches", 50)
    )
    found = measure_theorem(checkpoint, data, request, on_progress=report)
    return theorem_to_dict(checkpoint, request, found)


def theorem_rows(run: Run, plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what :func:`theorem` gave, one row a class and ρ."""
    return [
        {
            "row": f"{run.row} class {one['label']} rho {batch['rho']:g}",
            "seed": run.seed,
            "lambda_min": one["lambda_min"],
            "grad_norm": one["grad_norm"],
            "critical_rho": one["critical_rho"],
            "measured": batch["measured"]["estimate"],
            "measured_lower": batch["measured"]["lower"],
            "measured_upper": batch["measured"]["upper"],
            "predicted": batch["predicted"]["estimate"],
            "theorem": batch["theorem"],
            "undetermined": batch["undetermined"],
        }
        for one in plain["classes"]
        for batch in one["batches"]
    ]
