"""Step 10: the density of every class, over all of its images; several probes at once."""

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
from cli.bench.gpu_steps.ways import EAGER, STACKED, Way
from spectra import SolverSettings, make_generator, save_analysis, slq
from spectra.system.timing import synchronise

# The rarest class of the published figures: one vector fills the least of a card there.
LOCKSTEP_CLASS = 8
# Ours: a quarter of a density says how fast it is.
PART_OF_NODES = 4


def run(suite: Suite, step: Step) -> None:
    """Run one probe on every class, rarest first, and several on a rare one in each way."""
    step.item("one by one", partial(_probes, suite, EAGER, lockstep=False))
    for way in right_ways(suite):
        if way.stacked > 1:
            step.item(f"lockstep, {way.name}", partial(_probes, suite, way, lockstep=True))
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


def _probes(suite: Suite, way: Way, *, lockstep: bool) -> dict[str, Any]:
    """Time as many probes as a pass takes, in lockstep or one after the other."""
    device, n = suite.device, suite.prepared.data.class_counts[LOCKSTEP_CLASS]
    op = suite.workload(LOCKSTEP_CLASS, n).operator(check=False, **way.options)
    for _ in range(WARM_UP):
        op.matmat(torch.ones(STACKED, op.size, dtype=op.dtype, device=op.device))
    nodes = max(2, suite.sizes.nodes // PART_OF_NODES)
    synchronise(device)
    start = time.perf_counter()
    found = slq(
        op,
        num_probes=STACKED,
        num_steps=nodes,
        probe="rademacher",
        generator=make_generator(0, "gpu suite lockstep"),
        lockstep=lockstep,
    )
    synchronise(device)
    seconds = time.perf_counter() - start
    return {"n": n, "probes": STACKED, "nodes": nodes, "probe_seconds": seconds,
            "trace": found.trace}  # fmt: skip
