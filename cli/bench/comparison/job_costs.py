"""What jobs cost: ours as measured, the peers' as products times the time of one."""

from collections.abc import Sequence
from dataclasses import dataclass

from cli.bench.comparison.converged_extremes import relative_error
from cli.bench.comparison.density_job import NUM_NODES, DensityResult
from cli.bench.comparison.extremes_job import ClassResult
from cli.bench.comparison.peer_libraries import OURS, PyHessianDataloader
from cli.bench.comparison.product_table import ProductRow, ProductTable, single_column_rows


@dataclass(frozen=True)
class JobRow:
    """One way of doing a job, summed over its classes and checkpoints.

    Attributes:
        job: ``extremes``, ``trajectory`` or ``density``.
        peer: library.
        mode: of its products.
        protocol: ``ours``, ``reference`` (PyHessian's three loops), ``oracle`` (the fewest Lanczos
            steps that are within 1 % for good) or ``100 steps``.
        seconds: end to end where ``measured``, else products times the shortest time of one,
            measured in the same run.
        image_products: in all.
        ratio_seconds: over ours; above 1: we are faster.
        ratio_products: ``image_products`` over ours.
        max_error: largest relative error of |λmin/λmax|; None: not known. Of the peers it is that
            of a correct Lanczos recurrence of so many steps; of PyHessian's density loop where it
            was run, the difference of its extreme nodes' ratio from ours.
        measured: whether ``seconds`` was measured end to end.
        classes: how many, over all checkpoints; ratios are over ours on these.
    """

    job: str
    peer: str
    mode: str
    protocol: str
    seconds: float
    image_products: float
    ratio_seconds: float
    ratio_products: float
    max_error: float | None
    measured: bool
    classes: int


def extremes_rows(results: Sequence[ClassResult], table: ProductTable) -> list[JobRow]:
    """Return our row, the reference protocol's, and each peer's oracle and 100 Lanczos steps.

    Args:
        results: of :func:`cli.bench.comparison.extremes_job.bench_extremes`.
        table: of the same run: the time of a peer's product.
    """
    ours = _our_extremes(results)
    rows = [ours]
    # 100 steps end where the float32 run of the reference ended, or closer still.
    run_error = max(r.reference.run_error for r in results)
    counted = [(r, r.protocol) for r in results if r.protocol is not None]
    for peer in single_column_rows(table):
        if counted and _is_pyhessian(peer):
            asked = sum(r.n * protocol.total for r, protocol in counted)
            same = _our_extremes([r for r, _ in counted])
            error = max(r.reference.run_error for r, _ in counted)
            rows.append(_estimated(same, peer, "reference", asked, error))
    for peer in single_column_rows(table):
        granted = sum(r.n * r.reference.oracle_steps for r in results)
        error = max(
            relative_error(r.reference.run_ratios[r.reference.oracle_steps - 1], r.reference.ratio)
            for r in results
        )
        rows.append(_estimated(ours, peer, "oracle", granted, error))
        asked = sum(r.n * NUM_NODES for r in results)
        rows.append(_estimated(ours, peer, "100 steps", asked, run_error))
    return rows


def _our_extremes(results: Sequence[ClassResult]) -> JobRow:
    return JobRow(
        results[0].job,
        OURS,
        "one",
        "ours",
        sum(r.seconds for r in results),
        sum(r.image_products for r in results),
        1.0,
        1.0,
        max(r.error for r in results),
        measured=True,
        classes=len(results),
    )


def density_rows(result: DensityResult, table: ProductTable) -> list[JobRow]:
    """Return our row and each peer's 100 Lanczos steps, PyHessian's loop as run where it was."""
    ours = JobRow(
        "density",
        OURS,
        "one",
        "ours",
        result.seconds,
        result.image_products,
        1.0,
        1.0,
        None,
        measured=True,
        classes=result.num_classes,
    )
    rows = [ours]
    asked = NUM_NODES * result.num_images
    for peer in single_column_rows(table):
        if _is_pyhessian(peer) and result.loop_seconds is not None:
            row = _row(
                ours, peer, "100 steps", asked, result.loop_seconds, result.loop_difference, True
            )
        else:
            row = _estimated(ours, peer, "100 steps", asked, None)
        rows.append(row)
    return rows


def _estimated(
    ours: JobRow, peer: ProductRow, protocol: str, asked: float, error: float | None
) -> JobRow:
    return _row(ours, peer, protocol, asked, asked * peer.min_ms / 1e3, error, False)


def _row(
    ours: JobRow,
    peer: ProductRow,
    protocol: str,
    asked: float,
    seconds: float,
    error: float | None,
    measured: bool,
) -> JobRow:
    return JobRow(
        ours.job,
        peer.peer,
        peer.mode,
        protocol,
        seconds,
        asked,
        seconds / ours.seconds,
        asked / ours.image_products,
        error,
        measured,
        ours.classes,
    )


def _is_pyhessian(peer: ProductRow) -> bool:
    return (peer.peer, peer.mode) == (PyHessianDataloader.name, PyHessianDataloader.mode)
