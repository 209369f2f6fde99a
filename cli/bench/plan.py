"""From a request to tables: what runs on what, in which order."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from checkpoints.training.threads import suitable_threads
from cli.bench.comparison.accounts import JobRow, density_rows, extremes_rows
from cli.bench.comparison.density import bench_density
from cli.bench.comparison.jobs import ClassResult, JobSettings, bench_extremes
from cli.bench.comparison.peers import missing_packages
from cli.bench.comparison.products import ProductTable, Progress, compare_products
from cli.bench.comparison.reference import ReferenceFile
from cli.bench.machine import machine_facts
from cli.bench.request import BenchRequest, check, load, product_subject, stage, stages

# Ours: what a statement about warm starts should rest on.
ENOUGH_CHECKPOINTS = 8


@dataclass(frozen=True)
class BenchResult:
    """Tables of one run.

    Attributes:
        subject: what the products were of.
        products: everybody's.
        jobs: rows of every job.
        classes: the extremes of each class and checkpoint.
        machine: see :func:`cli.bench.machine.machine_facts`.
        notes: what the reader should know.
    """

    subject: str
    products: ProductTable
    jobs: tuple[JobRow, ...]
    classes: tuple[ClassResult, ...]
    machine: dict[str, Any]
    notes: tuple[str, ...]


def run_bench(request: BenchRequest, *, on_progress: Progress | None = None) -> BenchResult:
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
    subject = product_subject(request, checkpoint, data)
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
        machine = machine_facts(request.device)
        table = compare_products(
            subject,
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
    return BenchResult(subject.name, table, tuple(rows), tuple(results), machine, tuple(notes))
