"""Step 2: is it right? Against the float64 references; nothing else is worth timing if not."""

from functools import partial
from typing import Any

import torch

from cli.bench.gpu_ledger.results import DONE
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.gpu_references.loss_trace import loss_trace, relative_difference, trace_data
from cli.bench.gpu_references.subjects import (
    Subject,
    reference_extremes,
    reference_vector,
)

# Ours: single ReLU masks flip between float32 and float64, which changes a product by some 4e-4
# and the extremes by less; a wrong product, kernel or random stream changes them by order 1. The
# trainings are short and slow enough that float32 stays a decade below it (prepared.json says how
# far the CPU's own float32 lies).
ALLOWED = 5e-3
# float64 products are stored as float32, which rounds by 6e-8; the rest is the order of summation.
ALLOWED_FLOAT64 = 1e-6


def run(suite: Suite, step: Step) -> None:
    """Compare products, extremes and trainings of the default way with float64 on the CPU."""
    for subject in suite.prepared.subjects:
        step.item(subject.name, partial(_subject, suite, subject))
    few = trace_data(suite.prepared.data, suite.sizes.trace_per_class)
    for recipe, wanted in suite.prepared.traces.items():

        def trace(recipe: str = recipe, wanted: tuple[float, ...] = wanted) -> dict[str, Any]:
            found = loss_trace(recipe, few, suite.sizes, dtype=torch.float32, device=suite.device)
            return {
                "losses": found.losses,
                "error": relative_difference(found.losses, wanted),
                "of_the_cpu": suite.prepared.trace_noise[recipe],
                "epoch_seconds": found.seconds,
            }

        step.item(f"training {recipe}", trace)


def wrong(step: Step) -> list[str]:
    """Return what differs from float64 by more than is allowed, or did not run at all."""
    found = []
    for key, item in step.items.items():
        if item.status == "failed":
            found.append(f"{key}: {item.reason}")
        for name, allowed in (("error", ALLOWED), ("float64_error", ALLOWED_FLOAT64)):
            error = float(item.found.get(name, 0.0)) if item.status == DONE else 0.0
            if not error <= allowed:
                found.append(f"{key}: {name} {error:.1e}, {allowed:.0e} allowed")
    return found


def _subject(suite: Suite, subject: Subject) -> dict[str, Any]:
    prepared, name = suite.prepared, subject.name
    op = suite.workload(subject.label, subject.n).operator()
    wanted = prepared.products[name].double()
    v = reference_vector(op, name)
    product = op.matvec(v).double().cpu()
    exact = op.in_float64().matvec(v.double()).cpu()
    known = prepared.extremes[name]
    found = reference_extremes(op, name)
    ends = (found.lambda_min, found.lambda_max), (known.lambda_min, known.lambda_max)
    product_error = float((product - wanted).norm() / wanted.norm())
    extremes_error = relative_difference(*ends)
    return {
        "products": op.choice.name,
        "product_error": product_error,
        "float64_error": float((exact - wanted).norm() / wanted.norm()),
        "lambda_min": found.lambda_min,
        "lambda_max": found.lambda_max,
        "extremes_error": extremes_error,
        "error": max(product_error, extremes_error),
    }
