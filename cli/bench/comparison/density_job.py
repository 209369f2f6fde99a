"""The density of every class: ours, timed end to end, and PyHessian's loop where images are few."""

import time
from dataclasses import dataclass

from cli.bench.comparison.converged_extremes import ratio_of, relative_error
from cli.bench.comparison.jobs import JobSettings, Stage, build_operator, peer_batch
from cli.bench.comparison.peer_libraries import PyHessianDataloader
from spectra import PyHessianOperator, make_generator, slq
from spectra.system.progress import Progress
from spectra.system.timing import synchronise

# The published script's; also what "100 Lanczos steps" spends.
NUM_NODES = 100
# Ours: up to this many images PyHessian's density loop is run, not only counted.
FEW_IMAGES = 64


@dataclass(frozen=True)
class DensityResult:
    """One probe on every class.

    Attributes:
        seconds: ours, building the operators included.
        image_products: ours.
        num_classes: that have images.
        num_images: of all of them.
        loop_seconds: of PyHessian's own loop over the same classes; None: it was not run.
        loop_difference: largest relative difference of |λmin/λmax| of the extreme nodes; None: it
            was not run.
    """

    seconds: float
    image_products: float
    num_classes: int
    num_images: int
    loop_seconds: float | None
    loop_difference: float | None


def bench_density(
    stage: Stage,
    settings: JobSettings,
    *,
    on_progress: Progress | None = None,
) -> DensityResult:
    """Run one probe of 100 nodes on every class, and PyHessian's own loop where images are few.

    Args:
        stage: one checkpoint.
        settings: how.
        on_progress: called with (what is running, classes done, classes).
    """
    seconds, asked, images = 0.0, 0.0, 0
    loop_seconds, differences = 0.0, []
    few = PyHessianDataloader.installed()
    for done, label in enumerate(stage.classes):
        if on_progress:
            on_progress(f"density of class {label}", done, len(stage.classes))
        workload = stage.workload(label)
        start = time.perf_counter()
        op = build_operator(workload, settings, check=done == 0)
        spectrum = slq(
            op,
            num_probes=1,
            num_steps=NUM_NODES,
            probe="rademacher",
            generator=make_generator(settings.seed, "bench density", stage.digest, label),
        )
        synchronise(workload.device)
        seconds += time.perf_counter() - start
        asked += op.count.total
        images += len(workload)
        few = few and len(workload) <= FEW_IMAGES
        if few:
            peer = PyHessianOperator(workload.host(peer_batch(workload, settings)))
            start = time.perf_counter()
            theirs = peer.density(num_probes=1, num_steps=NUM_NODES, seed=settings.seed)
            synchronise(workload.device)
            loop_seconds += time.perf_counter() - start
            ends = [ratio_of(s.nodes[0], s.nodes[-1]) for s in (theirs, spectrum)]
            differences.append(relative_error(*ends))
    return DensityResult(
        seconds,
        asked,
        len(stage.classes),
        images,
        loop_seconds if few else None,
        max(differences) if few else None,
    )
