"""Step 7: the density of every class, over all of its images; several probes at once."""

import time
from functools import partial
from typing import Any

import torch

from checkpoints.analysis.analyze import analyze
from checkpoints.analysis.request import AnalysisRequest
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.gpu_steps.extremes import summary
from cli.bench.gpu_steps.tunings import WARM_UP, right_ways
from cli.bench.gpu_steps.ways import STACKED, Way
from spectra import SolverSettings, make_generator, save_analysis, slq
from spectra.system.timing import synchronise

# The rarest class of the published figures: one vector fills the least of a card there.
LOCKSTEP_CLASS = 8


def run(suite: Suite, step: Step) -> None:
    """Run one probe on every class, rarest first, and several on a rare one in each way."""
    for way in right_ways(suite):
        if way.stacked > 1:
            step.item(f"lockstep, {way.name}", partial(_lockstep, suite, way))
    suite.each_class(step, _density)


def _density(suite: Suite, label: int) -> dict[str, Any]:
    analysis = analyze(
        suite.prepared.checkpoint,
        suite.training_images,
        AnalysisRequest(
            classes=str(label),
            device=suite.device,
            solver=SolverSettings(num_probes=1, num_steps=suite.sizes.nodes, proof=False),
        ),
    )
    save_analysis(suite.request.folder / "densities" / f"class-{label}.json", analysis)
    record = analysis.records[0]
    spectrum = record.spectrum
    assert spectrum is not None  # a probe was asked for
    return {**summary(record), "nodes": len(spectrum.nodes), "trace": spectrum.trace}


def _lockstep(suite: Suite, way: Way) -> dict[str, Any]:
    """Run as many probes as a pass takes, one after the other and in lockstep."""
    device, n = suite.device, suite.prepared.data.class_counts[LOCKSTEP_CLASS]
    workload = suite.workload(LOCKSTEP_CLASS, n)
    seconds, traces = {}, {}
    both: tuple[tuple[str, dict[str, Any], bool], ...] = (
        ("one by one", {}, False), ("in lockstep", way.options, True)
    )  # fmt: skip
    for name, options, lockstep in both:
        op = workload.operator(check=False, **options)
        for _ in range(WARM_UP):
            op.matmat(torch.ones(STACKED, op.size, dtype=op.dtype, device=op.device))
        synchronise(device)
        start = time.perf_counter()
        found = slq(
            op,
            num_probes=STACKED,
            num_steps=suite.sizes.nodes,
            probe="rademacher",
            generator=make_generator(0, "gpu suite lockstep"),
            lockstep=lockstep,
        )
        synchronise(device)
        seconds[name] = time.perf_counter() - start
        traces[name] = found.trace
    return {
        "n": n,
        "probes": STACKED,
        "nodes": suite.sizes.nodes,
        "seconds_of": seconds,
        "trace_of": traces,
        "gain": seconds["one by one"] / seconds["in lockstep"],
    }
