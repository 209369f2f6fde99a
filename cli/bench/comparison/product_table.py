"""The table of products: everybody's time for one image and vector, and error against float64."""

import gc
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from cli.bench.comparison.peer_libraries import (
    ALL_KEPT,
    COLUMNS,
    OURS,
    PEERS,
    Ours,
    OursSeveral,
    Peer,
)
from cli.bench.convolution_rate import ConvolutionRate, best_convolution
from cli.bench.workload import Workload
from spectra import make_generator
from spectra.errors import SpectraError
from spectra.system.exact import exact_products
from spectra.system.progress import Progress
from spectra.system.timing import seconds_of

# Ours: float32 products of ResNet-32 differ from float64 by about 4e-4, for the masks of single
# ReLUs flip between the two; a wrong product differs by order 1. Over a few images that are all
# fitted to 1 - p_y of 1e-4, float32 itself comes near this limit: 1 - p_y is then mostly rounding.
ALLOWED_ERROR = {torch.float32: 5e-3, torch.float64: 1e-8}
LARGEST_PEER_BATCH = 128


@dataclass(frozen=True)
class ProductRow:
    """One way of making products.

    Attributes:
        peer: library.
        mode: how it was used.
        columns: vectors a product.
        min_ms: shortest time, a vector and image, in milliseconds.
        median_ms: the median over the rounds, a vector and image.
        ratio: ``min_ms`` over ours of mode ``one``; above 1: we are faster.
        ratio_medians: ``median_ms`` over ours of mode ``one``.
        rel_error: ‖product - float64 product‖ / ‖float64 product‖, the largest of its vectors.
        agrees: whether that is allowed.
        gflops: six forward passes over ``min_ms``, in 1e9 operations a second.
    """

    peer: str
    mode: str
    columns: int
    min_ms: float
    median_ms: float
    ratio: float
    ratio_medians: float
    rel_error: float
    agrees: bool
    gflops: float


@dataclass(frozen=True)
class ProductTable:
    """What :func:`compare_products` found.

    Attributes:
        rows: ours first.
        num_images: that products ran over.
        batch: images a peer takes at a time.
        rounds: timed products of each.
        product_flops: six forward passes over an image.
        peak: the best convolution rate of the run.
        allowed_error: of a product.
        failures: peers that could not be used, and why.
    """

    rows: tuple[ProductRow, ...]
    num_images: int
    batch: int
    rounds: int
    product_flops: int
    peak: ConvolutionRate
    allowed_error: float
    failures: tuple[str, ...]

    @property
    def peak_fraction(self) -> float:
        """Our rate over the best convolution's."""
        return self.rows[0].gflops * 1e9 / self.peak.flops

    @property
    def wrong(self) -> list[str]:
        """Peers whose products differ from the float64 ones by more than is allowed."""
        return [f"{row.peer} {row.mode}" for row in self.rows if not row.agrees]


def compare_products(
    workload: Workload,
    *,
    rounds: int,
    peer_batch: int | None = None,
    micro_chunk: int | None = None,
    peers: Sequence[type[Peer]] = PEERS,
    seed: int = 0,
    memory_budget: int = ALL_KEPT,
    seconds: float = math.inf,
    on_progress: Progress | None = None,
) -> ProductTable:
    """Time every installed peer and ourselves in turn, round after round, with equal settings.

    All are built and asked in full float32: a graph of gradients that is built under torch's
    defaults, which allow TF32 in convolutions, stays wrong by some per cent.

    Args:
        workload: whose Hessian.
        rounds: timed products of each, after an untimed one.
        peer_batch: images a peer takes at a time; None: all, up to 128.
        micro_chunk: images that we take at a time; None: our default.
        peers: those that are not installed are passed over.
        seed: of the vectors.
        memory_budget: bytes for our kept primal work.
        seconds: no round is begun that would not end within them, but the first; preparing peers
            counts.
        on_progress: called with (what is running, rounds done, rounds).
    """
    begun = time.monotonic()
    batch = peer_batch or min(len(workload), LARGEST_PEER_BATCH)
    ours = Ours(workload, micro_chunk or 0, memory_budget=memory_budget)
    generator = make_generator(seed, "bench vectors")
    drawn = torch.randn(COLUMNS, ours.op.size, generator=generator)
    vectors = drawn.to(ours.op.device, workload.dtype)
    if on_progress:
        on_progress("float64 products", 0, rounds)
    exact = _exact_products(workload, vectors)
    running: list[Peer] = [ours, OursSeveral(workload, 0, one=ours)]
    # Twice: on a GPU the second product is recorded, and the third one is what is timed.
    errors = [max(_error(peer, vectors, exact) for _ in range(2)) for peer in running]
    failures = []
    for kind in peers:
        if not kind.installed():
            continue
        if on_progress:
            on_progress(f"preparing {kind.name} {kind.mode}", 0, rounds)
        try:
            with _full_float32(vectors.device):
                peer = kind(workload, batch)
            error = _error(peer, vectors, exact)
        except Exception as problem:  # whatever a stranger's library raises, memory included
            if isinstance(problem, SpectraError):
                raise
            text = " ".join(str(problem).split())[:160]
            failures.append(f"{kind.name} {kind.mode} failed: {type(problem).__name__}: {text}")
            continue
        running.append(peer)
        errors.append(error)
    taken: list[list[float]] = [[] for _ in running]
    peaks, longest = [], 0.0
    with _little_garbage():
        for done in range(rounds):
            round_begun = time.monotonic()
            if done and round_begun + longest > begun + seconds:
                break
            for peer, times in zip(running, taken, strict=True):
                if on_progress:
                    on_progress(f"{peer.name} {peer.mode}", done, rounds)
                times.append(_seconds(peer, vectors, workload.device))
            if done == 0 or workload.device == "cpu":  # a card's rate is always the same
                peaks.append(best_convolution(dtype=workload.dtype, device=workload.device))
            longest = max(longest, time.monotonic() - round_begun)
    flops = workload.product_flops()
    allowed = ALLOWED_ERROR[workload.dtype]
    milliseconds = [
        [1e3 * t / (len(workload) * peer.columns) for t in times]
        for peer, times in zip(running, taken, strict=True)
    ]
    best, middle = min(milliseconds[0]), statistics.median(milliseconds[0])
    rows = tuple(
        ProductRow(
            peer=peer.name,
            mode=peer.mode,
            columns=peer.columns,
            min_ms=min(times),
            median_ms=statistics.median(times),
            ratio=min(times) / best,
            ratio_medians=statistics.median(times) / middle,
            rel_error=error,
            agrees=error <= allowed,
            gflops=flops / min(times) / 1e6,
        )
        for peer, times, error in zip(running, milliseconds, errors, strict=True)
    )
    peak = max(peaks, key=lambda rate: rate.flops)
    return ProductTable(
        rows, len(workload), batch, len(taken[0]), flops, peak, allowed, tuple(failures)
    )


def _full_float32(device: torch.device) -> AbstractContextManager[None]:
    """Have no TF32 in the block, and cuDNN's own choice of kernels, which is what peers run with.

    Our products make their own choice inside.
    """
    return exact_products(device, deterministic=False)


@contextmanager
def _little_garbage() -> Iterator[None]:
    """Have collections look at what is made in the block alone; all that is older is left alone.

    Before every product there is one, so that none takes place within it: over everything that
    torch and four libraries have made, it takes longer than most products.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def single_column_rows(table: ProductTable) -> list[ProductRow]:
    """Return the peers' rows, ours left out, that a Lanczos recurrence can use."""
    return [row for row in table.rows if row.peer != OURS and row.columns == 1]


def _exact_products(workload: Workload, vectors: Tensor) -> Tensor:
    """Return our float64 products; the operator is checked against finite differences."""
    return workload.operator().in_float64().matmat(vectors.double())


def _error(peer: Peer, vectors: Tensor, exact: Tensor) -> float:
    with _full_float32(vectors.device):
        found = peer.products(vectors[: peer.columns]).double()
    wanted = exact[: peer.columns]
    if found.shape != wanted.shape or not torch.isfinite(found).all():
        return float("inf")
    return float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max())


def _seconds(peer: Peer, vectors: Tensor, device: str) -> float:
    mine = vectors[: peer.columns].clone()
    gc.collect()
    with _full_float32(vectors.device):
        return seconds_of(lambda: peer.products(mine), device)
