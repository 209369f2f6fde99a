"""The extremes of every class, at one checkpoint or over training: ours, timed end to end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cli.bench.comparison.converged_extremes import (
    Reference,
    ReferenceFile,
    kept_reference,
    ratio_of,
    reference_key,
    relative_error,
)
from cli.bench.comparison.jobs import JobSettings, Stage, build_operator, peer_batch
from cli.bench.comparison.pyhessian_loops import ProtocolCount, count_protocol
from spectra import Extremes, HessianOperator, extremes_by_active_images, make_generator
from spectra.system.progress import Progress
from spectra.system.timing import synchronise


def our_extremes(
    op: HessianOperator, generator: torch.Generator, warm: Extremes | None = None
) -> Extremes:
    """Find both ends with our solver, from ``warm``, a neighbouring checkpoint's, where given.

    Values are judged in float64, but for warm-started trajectories, where float32 has to do.
    """
    return extremes_by_active_images(op, generator=generator, warm=warm, proof=warm is None)


@dataclass(frozen=True)
class ClassResult:
    """The extremes of one class at one checkpoint.

    Attributes:
        job: ``extremes`` or ``trajectory``.
        stage: name of the checkpoint.
        label: class.
        n: images.
        image_products: ours.
        seconds: ours, building the operator included.
        ratio: our |λmin/λmax|.
        error: of it, relative to the reference.
        residual_min: ‖Hy - λmin y‖ / |λmin| over all images.
        residual_max: ‖Hy - λmax y‖ / λmax over all images.
        reference: converged.
        protocol: products of PyHessian's loops; None: not counted.
    """

    job: str
    stage: str
    label: int
    n: int
    image_products: float
    seconds: float
    ratio: float
    error: float
    residual_min: float
    residual_max: float
    reference: Reference
    protocol: ProtocolCount | None


def bench_extremes(
    job: str,
    stages: Sequence[Stage],
    settings: JobSettings,
    *,
    file: ReferenceFile,
    on_progress: Progress | None = None,
) -> list[ClassResult]:
    """Find the extremes of every class of every stage, each from the one before, and check them.

    Args:
        job: ``extremes`` or ``trajectory``.
        stages: in the order of training.
        settings: how.
        file: of references; they are computed after ours and are not timed.
        on_progress: called with (what is running, classes done, classes).
    """
    results: list[ClassResult] = []
    warm: dict[int, Extremes] = {}
    total = sum(len(stage.classes) for stage in stages)
    for stage in stages:
        for label in stage.classes:
            if on_progress:
                on_progress(f"{stage.name} class {label}", len(results), total)
            workload = stage.workload(label)
            start = time.perf_counter()
            # The checks are of the network: once for a checkpoint is enough, as in analyze.
            op = build_operator(workload, settings, check=label == stage.classes[0])
            generator = make_generator(settings.seed, "bench extremes", stage.digest, label)
            found = our_extremes(op, generator, warm.get(label))
            synchronise(workload.device)
            seconds = time.perf_counter() - start
            warm[label] = found
            image_products = op.count.total
            op.forget()
            reference = kept_reference(op, digest=stage.digest, label=label, file=file)
            protocol = None
            if settings.protocol_images is None or len(workload) <= settings.protocol_images:
                protocol = count_protocol(
                    op,
                    workload.host(peer_batch(workload, settings)),
                    seed=settings.seed,
                    key=reference_key(stage.digest, label, op),
                    file=file,
                )
            low, high = found.smallest, found.largest
            ratio = ratio_of(low.value, high.value)
            results.append(
                ClassResult(
                    job=job,
                    stage=stage.name,
                    label=label,
                    n=len(workload),
                    image_products=image_products,
                    seconds=seconds,
                    ratio=ratio,
                    error=relative_error(ratio, reference.ratio),
                    residual_min=low.residual_norm / max(abs(low.value), 1e-30),
                    residual_max=high.residual_norm / max(abs(high.value), 1e-30),
                    reference=reference,
                    protocol=protocol,
                )
            )
    return results
