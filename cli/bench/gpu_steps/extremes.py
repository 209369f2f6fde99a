"""Step 6: certified extremes of every class, over all of its images."""

from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from checkpoints.analysis.analyze import analyze
from checkpoints.analysis.request import AnalysisRequest
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from spectra import LossAnalysis, SolverSettings, make_generator
from spectra.results.record import row
from spectra.system.timing import seconds_of

# Of a result's row, what the suite's own file repeats.
COLUMNS = (
    *("n", "loss", "fit_accuracy", "accuracy", "lambda_min", "lambda_max", "ratio"),
    *("residual_min", "residual_max", "converged", "steps", "image_products", "products"),
    *("grad_norm", "verdict"),
)


def run(suite: Suite, step: Step) -> None:
    """Find λmin and λmax of all classes, rarest first, judged in float64; time what that takes."""
    suite.each_class(step, _certified)
    for label in suite.sizes.float64_classes:
        step.item(f"float64, class {label}", partial(_float64, suite, label))


def summary(record: LossAnalysis) -> dict[str, Any]:
    """Return what results hold of one loss; the whole is in the analysis's own file."""
    whole = row(record)
    certificates = record.certificates and [asdict(c) for c in record.certificates]
    return {**{name: whole[name] for name in COLUMNS}, "certificates": certificates}


def _certified(suite: Suite, label: int) -> dict[str, Any]:
    analysis = analyze(
        suite.prepared.checkpoint,
        suite.training_images,
        AnalysisRequest(
            classes=str(label), device=suite.device, solver=SolverSettings(num_probes=0)
        ),
    )
    return summary(analysis.records[0])


def _float64(suite: Suite, label: int) -> dict[str, Any]:
    """Time both ends' float64 products, which is what a judgement pays, beside the float32 ones."""
    n = suite.prepared.data.class_counts[label]
    op = suite.workload(label, n).operator(check=False)
    drawn = torch.randn(2, op.size, generator=make_generator(0, "gpu suite float64"))
    vectors = drawn.to(op.device, op.dtype)
    op.matmat(vectors)  # the primal work, which is kept
    double = op.in_float64()
    seconds = [
        seconds_of(lambda: op.matmat(vectors), suite.device),
        seconds_of(lambda: double.matmat(vectors.double()), suite.device),
    ]
    return {
        "n": n,
        "float32_seconds": seconds[0],
        "judgement_seconds": seconds[1],
        "ratio": seconds[1] / seconds[0],
    }
