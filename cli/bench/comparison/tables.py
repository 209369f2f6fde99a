"""The bench's tables, and its JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cli.bench.comparison.compare import ComparisonResult
from cli.bench.comparison.extremes_job import ClassResult
from cli.bench.comparison.job_costs import JobRow
from cli.bench.comparison.product_table import ProductTable
from cli.bench.machine import MachineFacts
from cli.display.lines import say, tell
from cli.display.tables import Table, print_table

Rows = list[list[str]]

PRODUCT_COLUMNS = (
    "peer", "mode", "min ms", "median ms", "ratio", "ratio of medians", "error", "GFLOP/s",
    "of convolutions",
)  # fmt: skip
JOB_COLUMNS = (
    "job", "peer", "mode", "protocol", "classes", "seconds", "image products", "time ratio",
    "product ratio", "max error",
)  # fmt: skip
CLASS_COLUMNS = (
    "checkpoint", "class", "n", "passes", "|λmin/λmax|", "error", "residual min", "residual max",
    "oracle", "PyHessian",
)  # fmt: skip


def product_rows(table: ProductTable) -> Rows:
    """Return the cells under :data:`PRODUCT_COLUMNS`."""
    return [
        [
            row.peer,
            row.mode,
            f"{row.min_ms:.3g}",
            f"{row.median_ms:.3g}",
            f"{row.ratio:.2f}",
            f"{row.ratio_medians:.2f}",
            f"{row.rel_error:.1e}" + ("" if row.agrees else " WRONG"),
            f"{row.gflops:.0f}",
            f"{100e9 * row.gflops / table.peak.flops:.0f} %",
        ]
        for row in table.rows
    ]


def product_footnote(table: ProductTable) -> str:
    """Return the settings that the table of products holds under."""
    return (
        f"{table.num_images} images, {table.rounds} rounds, peers in batches of {table.batch}; "
        "milliseconds a vector and image; ratio: over ours, above 1 we are faster; error against "
        f"float64, {table.allowed_error:.0e} allowed; GFLOP/s: 6 forward passes "
        f"({table.product_flops / 1e9:.3g} GFLOP) over the shortest time; best convolution "
        f"{table.peak.flops / 1e9:.0f} GFLOP/s ({table.peak.case})"
    )


def job_rows(rows: Sequence[JobRow]) -> Rows:
    """Return the cells under :data:`JOB_COLUMNS`."""
    return [
        [
            row.job,
            row.peer,
            row.mode,
            row.protocol,
            str(row.classes),
            ("" if row.measured else "~") + f"{row.seconds:.3g}",
            f"{row.image_products:.0f}",
            f"{row.ratio_seconds:.2f}",
            f"{row.ratio_products:.2f}",
            "-" if row.max_error is None else f"{row.max_error:.1e}",
        ]
        for row in rows
    ]


CLASS_FOOTNOTE = (
    "passes: our image products over n; residual: ‖Hy - λy‖ / |λ| over all images; oracle: Lanczos "
    "steps to 1 %; PyHessian: products of its three loops"
)
PASS_COLUMNS = ("checkpoint", "ours", "oracle", "max error")
JOB_FOOTNOTE = (
    "~: not run; image products times the peer's shortest time of one, measured in this run on "
    "images of the same checkpoint. reference: PyHessian's eigenvalues() and trace() loops, their "
    "products counted while ours compute them, and 100 for density(), which always makes its "
    "iter=100. oracle: the fewest Lanczos steps after which |λmin/λmax| is within 1 % for good. "
    "Errors are of |λmin/λmax|, against float64 Rayleigh quotients; the peers' are those of a "
    "correct Lanczos recurrence, that of PyHessian's density loop, where it was run, is the "
    "difference of its extreme nodes' ratio from ours"
)


def class_rows(results: Sequence[ClassResult]) -> Rows:
    """Return the cells under :data:`CLASS_COLUMNS`."""
    return [
        [
            r.stage,
            str(r.label),
            str(r.n),
            f"{r.image_products / r.n:.2f}",
            f"{r.ratio:.4g}",
            f"{r.error:.1e}",
            f"{r.residual_min:.1e}",
            f"{r.residual_max:.1e}",
            str(r.reference.oracle_steps),
            "-" if r.protocol is None else str(r.protocol.total),
        ]
        for r in results
    ]


def passes_per_checkpoint(results: Sequence[ClassResult]) -> Rows:
    """Return, for each checkpoint: passes over its images, ours and an oracle's, and the error."""
    rows = []
    for stage in dict.fromkeys(r.stage for r in results):
        mine = [r for r in results if r.stage == stage]
        images = sum(r.n for r in mine)
        granted = sum(r.n * r.reference.oracle_steps for r in mine)
        rows.append(
            [
                stage,
                f"{sum(r.image_products for r in mine) / images:.2f}",
                f"{granted / images:.2f}",
                f"{max(r.error for r in mine):.1e}",
            ]
        )
    return rows


def as_plain(
    table: ProductTable,
    jobs: Sequence[JobRow],
    results: Sequence[ClassResult],
    machine: MachineFacts,
) -> dict[str, Any]:
    """Return the object that ``--json`` prints."""
    return {
        "machine": asdict(machine),
        "settings": {
            "images": table.num_images,
            "rounds": table.rounds,
            "peer_batch": table.batch,
            "allowed_error": table.allowed_error,
            "gflop_per_product": table.product_flops / 1e9,
        },
        "products": [asdict(row) for row in table.rows],
        "jobs": [asdict(row) for row in jobs],
        "classes": [_class(result) for result in results],
        "conv_peak_gflops": table.peak.flops / 1e9,
        "conv_peak_case": table.peak.case,
        "conv_peak_fraction": table.peak_fraction,
        "failures": list(table.failures),
    }


def _class(result: ClassResult) -> dict[str, Any]:
    plain = asdict(result)
    reference = plain["reference"]
    reference["ratio"] = result.reference.ratio
    reference["oracle_steps"] = result.reference.oracle_steps
    reference["run_steps"] = len(reference.pop("run_ratios"))
    plain["passes"] = result.image_products / result.n
    return plain


def print_comparison(result: ComparisonResult) -> None:
    """Print what a comparison has found, and the machine that it ran on."""
    table = result.products
    print_table(
        Table(
            f"Products, {result.workload}",
            PRODUCT_COLUMNS,
            product_rows(table),
            optional=["of convolutions", "ratio of medians", "median ms", "GFLOP/s"],
        )
    )
    tell(product_footnote(table))
    for job in dict.fromkeys(r.job for r in result.classes):
        mine = [r for r in result.classes if r.job == job]
        print_table(
            Table(
                f"{job}: classes",
                CLASS_COLUMNS,
                class_rows(mine),
                optional=["residual max", "residual min", "n"],
            )
        )
        tell(CLASS_FOOTNOTE)
        print_table(
            Table(
                f"{job}: passes over a checkpoint's images",
                PASS_COLUMNS,
                passes_per_checkpoint(mine),
            )
        )
    if result.jobs:
        print_table(
            Table(
                "Jobs",
                JOB_COLUMNS,
                job_rows(result.jobs),
                optional=["classes", "product ratio", "max error", "mode"],
            )
        )
        tell(JOB_FOOTNOTE)
    facts = result.machine
    say(
        f"{facts.cpu}, {facts.threads} threads of {facts.cores} cores, "
        f"device {facts.device}, torch {facts.torch}"
    )
