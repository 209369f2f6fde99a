"""Step 7: classes of a few images that share a pass, and one after the other."""

import time
from functools import partial
from typing import Any

import torch

from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.workload import Workload
from spectra import LossAnalysis, SolverSettings
from spectra.classes.each_loss import PreparedLoss, analyze_each
from spectra.classes.many.small_losses import MANY
from spectra.operators.hessian import HessianOperator
from spectra.operators.many_losses.same_network import over_samples
from spectra.products.tuning import Tuning
from spectra.system.timing import synchronise

# Ours: of as many losses the time of one is known to some per cent.
_IN_TURN = 4


def run(suite: Suite, step: Step) -> None:
    """Time certified extremes of many losses of so many images each, in both ways; compare them."""
    for images in suite.sizes.small_losses:
        step.item(f"{images} images a loss", partial(_both_ways, suite, images))


def _both_ways(suite: Suite, images: int) -> dict[str, Any]:
    counts = suite.prepared.data.class_counts
    largest = max(range(len(counts)), key=counts.__getitem__)
    number = min(suite.sizes.many_losses, counts[largest] // images)
    workload = suite.workload(largest, number * images)
    seconds: dict[str, float] = {}
    found: dict[str, dict[str, LossAnalysis]] = {}
    for way, losses, part in (("block", None, number), ("in turn", 1, min(_IN_TURN, number))):
        asked = Tuning(losses=losses if suite.on_gpu or losses else _IN_TURN)
        begun = time.monotonic()
        found[way] = _analyzed(workload, images, part, asked)
        synchronise(torch.device(suite.device))
        seconds[way] = (time.monotonic() - begun) / part
    pairs = [(found["block"][label], one) for label, one in found["in turn"].items()]
    return {
        "losses": number,
        "images": images,
        "products": found["block"]["0"].products,
        "block_seconds": seconds["block"],
        "in_turn_seconds": seconds["in turn"],
        "ratio": seconds["in turn"] / seconds["block"],
        "lambda_max_differs": max(
            abs(a.lambda_max - b.lambda_max) / abs(b.lambda_max) for a, b in pairs
        ),
        "lambda_min_differs": max(
            abs(a.lambda_min - b.lambda_min) / abs(b.lambda_max) for a, b in pairs
        ),
        "converged": sum(record.converged for record in found["block"].values()),
    }


def _analyzed(
    workload: Workload, images: int, number: int, tuning: Tuning
) -> dict[str, LossAnalysis]:
    """Return the first losses' extremes by label; of one loss alone where a pass takes one."""

    def prepare(
        label: str,
        classes: tuple[int, ...],
        *,
        check: bool,
        like: HessianOperator | None = None,
    ) -> PreparedLoss:
        part = slice(classes[0] * images, (classes[0] + 1) * images)
        samples, labels = workload.images[part], workload.labels[part]
        if like is not None:
            return PreparedLoss(over_samples(like, samples, labels, label=label))
        op = HessianOperator(
            workload.model,
            samples,
            labels,
            loss=workload.loss,
            dtype=workload.dtype,
            device=workload.device,
            memory_budget=0,
            tuning=tuning,
            check=check,
            label=label,
        )
        return PreparedLoss(op)

    each = analyze_each(
        {str(k): (k,) for k in range(number)},
        prepare,
        settings=SolverSettings(num_probes=0),
        among=1 if tuning.losses == 1 else MANY,
    )
    return {record.label: record for record in each}
