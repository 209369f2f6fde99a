"""Measure the ratios of every class of the bundled digits networks, on two cores in half an hour.

``PYTHONPATH=docs/study python docs/study/measuring/measure_losses.py docs/study/loss/rows.json``:
what the file holds already is kept, so the same command goes on after an interruption.
"""

import sys
from pathlib import Path

from ratio_by_loss import LossRow, LossRows, load_losses, save_losses

from checkpoints import AnalysisRequest, Checkpoint, ImageData, analyze, load_checkpoint, load_data
from checkpoints.analysis.protocols.recurrences import measure_recurrences
from checkpoints.bundled_files import bundled_runs
from spectra import SolverSettings
from spectra.engines.published_recurrence import AFTER, BEFORE
from spectra.krylov.defaults import PUBLISHED_STEPS

# The ways over plain images, by the fields of a row.
PLAIN = {
    "plain_published": "published",
    "plain_without_millionth": "float32-once",
    "plain_twice": "float32-twice",
    "plain_float64": "float64-once+1e-6",
}


def measure_class(checkpoint: Checkpoint, data: ImageData, label: int) -> LossRow:
    """Return the row of one class."""
    certain = analyze(
        checkpoint,
        data,
        AnalysisRequest(classes=str(label), solver=SolverSettings(num_probes=0, bending=False)),
    ).records[0]
    solver = SolverSettings(num_probes=1, num_steps=PUBLISHED_STEPS)
    request = AnalysisRequest(classes=str(label), solver=solver)
    plain = measure_recurrences(checkpoint, data, request, arithmetics=tuple(PLAIN.values()))
    request = AnalysisRequest(classes=str(label), images="fresh", solver=solver)
    published, exact = measure_recurrences(checkpoint, data, request).runs
    ratios = {name: run.ends().ratio for name, run in zip(PLAIN, plain.runs, strict=True)}
    ratios |= {
        "certified": certain.ratio,
        "fresh_published": published.ends().ratio,
        "fresh_before": exact.ends(BEFORE).ratio,
        "fresh_after": exact.ends(AFTER).ratio,
    }
    return LossRow(
        network=checkpoint.name,
        label=str(label),
        n=certain.n,
        loss=certain.loss,
        **{name: float(f"{value:.4g}") for name, value in ratios.items() if value is not None},
    )


def main(path: Path) -> None:
    """Measure what is not there yet."""
    rows = list(load_losses(path).rows) if path.exists() else []
    data = load_data()
    networks = [run for run in bundled_runs() if run.startswith("digits/")]
    for label in range(10):
        for network in networks:
            checkpoint = load_checkpoint(f"bundled:{network}")
            if (checkpoint.name, str(label)) in {(row.network, row.label) for row in rows}:
                continue
            rows.append(measure_class(checkpoint, data, label))
            save_losses(path, LossRows(PUBLISHED_STEPS, tuple(rows)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
