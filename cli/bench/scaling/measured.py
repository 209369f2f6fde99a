"""Products of one process and of several, in turn, so that both meet the same machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from cli.bench.workload import random_workload
from spectra.operators.hessian import HessianOperator
from spectra.system.ranks import World
from spectra.system.seeding import make_generator


@dataclass(frozen=True)
class Scaling:
    """Seconds a product, medians over the rounds, as rank 0 saw them.

    Attributes:
        size: N, number of processes.
        images: n of the loss.
        parameters: P.
        alone: one process, n images.
        alone_on_a_share: one process, n / N images.
        together: N processes, n images.
        sums: of ``together``, one sum of P numbers over the ranks, measured by itself.
    """

    size: int
    images: int
    parameters: int
    alone: float
    alone_on_a_share: float
    together: float
    sums: float

    @property
    def strong(self) -> float:
        """Times that N processes are faster than one, on the same images."""
        return self.alone / self.together

    @property
    def weak(self) -> float:
        """One process's seconds on n / N images over those of N on n; 1 is perfect."""
        return self.alone_on_a_share / self.together


def measure_scaling(
    world: World, *, images: int, architecture: str, rounds: int, seed: int
) -> Scaling:
    """Return what products take, by rank 0 alone while the others wait, and by all.

    Args:
        world: the processes.
        images: n, random ones of 3 x 32 x 32.
        architecture: one of ``checkpoints.choices.ARCHITECTURES``.
        rounds: of each kind, in turn.
        seed: of weights, images and vector.
    """
    device = str(world.device)
    work = random_workload(
        images, seed=seed, dtype=torch.float32, device=device, architecture=architecture
    )
    alone = work.operator()
    share = alone.over_images(torch.arange(max(1, images // world.size)))
    together = alone.over_ranks(world)
    vector = torch.randn(alone.size, generator=make_generator(seed, "vector")).to(world.device)
    numbers = torch.zeros(alone.size, dtype=torch.float64, device=world.device)

    def product(op: HessianOperator) -> Callable[[], object]:
        return lambda: op.matvec(vector)

    kinds = {
        "alone": (product(alone), True),
        "share": (product(share), True),
        "together": (product(together), False),
        "sums": (lambda: world.add_up(numbers), False),
    }
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for round_ in range(rounds + 1):  # the first does work that is kept, and does not count
        for name, (do, by_first_alone) in kinds.items():
            world.wait()
            began = time.perf_counter()
            if world.first or not by_first_alone:
                do()
                if world.device.type == "cuda":
                    torch.cuda.synchronize(world.device)
            if round_:
                taken[name].append(time.perf_counter() - began)
    middle = {name: median(seconds) for name, seconds in taken.items()}
    return Scaling(
        world.size,
        images,
        alone.size,
        middle["alone"],
        middle["share"],
        middle["together"],
        middle["sums"],
    )
