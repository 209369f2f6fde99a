"""From a request to tables: what runs on what, in which order."""

from contextlib import nullcontext
from dataclasses import dataclass

from checkpoints.training.threads import suitable_threads
from cli.bench.comparison.converged_extremes import ReferenceFile
from cli.bench.comparison.density_job import bench_density
from cli.bench.comparison.extremes_job import ClassResult, bench_extremes
from cli.bench.comparison.job_costs import JobRow, density_rows, extremes_rows
from cli.bench.comparison.jobs import JobSettings
from cli.bench.comparison.peer_libraries import PACKAGES, missing_packages
from cli.bench.comparison.product_table import ProductTable, compare_products
from cli.bench.comparison.request import (
    ComparisonRequest,
    check,
    load,
    product_workload,
    stage,
    stages,
)
from cli.bench.machine import MachineFacts, machine_facts
from spectra.system.progress import Progress

# Ours: what a statement about warm starts should rest on.
ENOUGH_CHECKPOINTS = 8


@dataclass(frozen=True)
class ComparisonResult:
    """Tables of one run.

    Attributes:
        workload: what the products were of.
        products: everybody's.
        jobs: rows of every job.
        classes: the extremes of each class and checkpoint.
        machine: that they ran on.
        notes: what the reader should know.
    """

    workload: str
    products: ProductTable
    jobs: tuple[JobRow, ...]
    classes: tuple[ClassResult, ...]
    machine: MachineFacts
    notes: tuple[str, ...]


def run_comparison(
    request: ComparisonRequest, *, on_progress: Progress | None = None
) -> ComparisonResult:
    """Run the products and the jobs that are asked for.

    Raises:
        InputError: the request does not fit together, or a file is not there.
    """
    check(request)
    notes = [
        f"{package} is not installed and takes no part; make bench-env installs it"
        for package in missing_packages()
    ]
    checkpoint, data = load(request, notes)
    workload = product_workload(request, checkpoint, data)
    file = ReferenceFile(request.reference_file)
    settings = JobSettings(
        request.peer_batch,
        request.micro_chunk,
        request.memory_budget,
        request.seed,
        request.protocol_images,
    )
    rows: list[JobRow] = []
    results: list[ClassResult] = []
    with suitable_threads(data) if data is not None else nullcontext():
        machine = machine_facts(request.device, PACKAGES)
        table = compare_products(
            workload,
            rounds=request.rounds,
            peer_batch=request.peer_batch,
            micro_chunk=request.micro_chunk,
            seed=request.seed,
            on_progress=on_progress,
        )
        notes += table.failures
        if checkpoint is not None and data is not None:
            last = stage(checkpoint, data, request)
            if "extremes" in request.what:
                found = bench_extremes(
                    "extremes", [last], settings, file=file, on_progress=on_progress
                )
                rows += extremes_rows(found, table)
                results += found
            if "density" in request.what:
                rows += density_rows(bench_density(last, settings, on_progress=on_progress), table)
            if "trajectory" in request.what:
                run = stages(str(request.checkpoint), data, request)
                if len(run) < ENOUGH_CHECKPOINTS:
                    notes.append(
                        f"the run has {len(run)} checkpoints; a statement about warm starts "
                        f"should rest on {ENOUGH_CHECKPOINTS} or more"
                    )
                found = bench_extremes(
                    "trajectory", run, settings, file=file, on_progress=on_progress
                )
                rows += extremes_rows(found, table)
                results += found
    notes += [
        f"{r.job}: the reference of {r.stage} class {r.label} has not converged"
        for r in results
        if not r.reference.converged
    ]
    return ComparisonResult(
        workload.name, table, tuple(rows), tuple(results), machine, tuple(notes)
    )
