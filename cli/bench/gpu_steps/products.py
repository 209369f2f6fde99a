"""Step 5: products beside PyHessian, curvlinops and hessian-eigenthings, by size and by way."""

import dataclasses
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from cli.bench.comparison.peer_libraries import (
    OURS,
    PEERS,
    Ours,
    Peer,
    missing_packages,
)
from cli.bench.comparison.product_table import ProductTable, compare_products
from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.gpu_steps.tunings import WARM_UP, right_ways
from cli.bench.gpu_steps.ways import EAGER, GRAPHS, Way
from cli.bench.workload import Workload, random_workload
from spectra.system.allocator import available_bytes

# Peers, which take them all in one batch where the card has room, gain nothing from more; and the
# graphs of more, as PyHessian keeps them, would not fit.
IMAGES_OF_PEERS = 1000
# Ours, above what PyHessian's graph of the gradient of ResNet-32 keeps of an image.
BYTES_OF_PEERS = 20e6
# Ours: what our kept work may take of the card; the rest is for products and peers.
PART = 0.7
MEASURED_IMAGES = 64


def run(suite: Suite, step: Step) -> None:
    """Time every installed peer and every right way of ours in turn, at each number of images.

    Each number of images has an equal part of what the step has left; rounds end there.
    """
    for package in missing_packages():
        step.skip(f"peer {package}", f"{package} is not installed")
    sizes = suite.sizes.products
    for done, (n, rounds) in enumerate(sizes):
        seconds = step.left / (len(sizes) - done)
        step.item(f"{n} images", partial(_compared, suite, n, rounds, seconds))


def _compared(suite: Suite, n: int, rounds: int, seconds: float) -> dict[str, Any]:
    data = suite.prepared.data if n <= len(suite.prepared.data.train) else None
    workload = random_workload(
        n,
        seed=0,
        dtype=torch.float32,
        device=suite.device,
        data=data,
        architecture=suite.sizes.product_architecture,
    )
    # The table's own first rows are of the default way.
    default = GRAPHS if suite.on_gpu else EAGER
    others = [way for way in right_ways(suite) if way is not default]
    left_out: list[str] = []
    budget = 2**50
    name, each = _small_part(workload)
    if suite.on_gpu:
        others, left_out, budget = _that_fit(workload, others, each)
    peers: list[type[Peer]] = [_ours(way, budget, name) for way in others]
    peers += [p for p in PEERS if n <= IMAGES_OF_PEERS]
    room = (1 - PART) * available_bytes(suite.device) if suite.on_gpu else 0.0
    table = compare_products(
        workload,
        rounds=rounds,
        peer_batch=n if n * BYTES_OF_PEERS <= room and n <= IMAGES_OF_PEERS else None,
        peers=peers,
        memory_budget=budget,
        seconds=seconds,
    )
    return {**as_plain(table), "subject": workload.name, "no_memory_for": left_out}


def as_plain(table: ProductTable) -> dict[str, Any]:
    """Return the table as results hold it."""
    return {
        "rounds": table.rounds,
        "batch": table.batch,
        "gflop_an_image": table.product_flops / 1e9,
        "best_convolution": asdict(table.peak),
        "rows": [asdict(row) for row in table.rows],
        "wrong": table.wrong,
        "failures": list(table.failures),
    }


def _small_part(workload: Workload) -> tuple[str, float]:
    """Return how products are made, and the bytes of kept work of an image (0 on a CPU)."""
    few = min(len(workload), MEASURED_IMAGES)
    part = dataclasses.replace(workload, images=workload.images[:few], labels=workload.labels[:few])
    on_gpu = torch.device(workload.device).type == "cuda"
    before = torch.cuda.memory_allocated(workload.device) if on_gpu else 0
    op = part.operator(check=False)
    if not on_gpu:
        return op.choice.name, 0.0
    op.matvec(torch.ones(op.size, device=op.device))
    return op.choice.name, (torch.cuda.memory_allocated(workload.device) - before) / few


def _that_fit(
    workload: Workload, others: list[Way], each: float
) -> tuple[list[Way], list[str], int]:
    """Return the ways whose kept work fits beside the default one's, the rest, and a budget."""
    room = PART * available_bytes(workload.device)
    fit = max(0, int(room // max(1.0, each * len(workload))) - 1)
    return others[:fit], [way.name for way in others[fit:]], int(room / (1 + len(others[:fit])))


def _ours(way: Way, budget: int, products: str) -> type[Peer]:
    """Return our products made in another way than the default one, as a peer of them.

    ``products`` is what the default one has chosen: choosing again for each takes longer than the
    products that are timed.
    """

    class OursOtherwise(Ours):
        name, mode = OURS, way.name
        columns = way.stacked

        def __init__(self, workload: Workload, batch: int) -> None:
            self.op = workload.operator(
                memory_budget=budget, check=False, products=products, **way.options
            )
            for _ in range(WARM_UP):
                self.products(torch.ones(self.columns, self.op.size, device=self.op.device))

        def products(self, vectors: torch.Tensor) -> torch.Tensor:
            """Return H v for each row."""
            return self.op.matmat(vectors)

    return OursOtherwise
