"""Choosing how products are computed by measuring it."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectra.products.interface import Products
from spectra.products.tuning import LAYOUTS, Tuning
from spectra.system.exact import exact_products
from spectra.system.timing import seconds_of

logger = logging.getLogger(__name__)

# Ours. Float32 products of a ReLU network differ by up to 4e-4 between kernels, for single masks
# flip; a wrong one differs by order 1.
ALLOWED = {torch.float32: 5e-3, torch.float64: 1e-8}
_ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """What one way of computing a product gave.

    Attributes:
        tuning: the way.
        seconds: of a product with its primal work kept, the median of three.
        error: relative difference from the first way's product.
    """

    tuning: Tuning
    seconds: float
    error: float


def candidates(device: torch.device) -> list[Tuning]:
    """Return the ways that are worth a measurement on ``device``, the default first."""
    ways = [Tuning(layout=layout) for layout in LAYOUTS]
    if device.type == "cuda":
        ways += [replace(way, deterministic=False, benchmark=True) for way in ways]
    return ways


def measure(
    make: Callable[[Tuning], Products],
    batch: tuple[Tensor, Tensor, Tensor],
    vector: Tensor,
    tunings: Sequence[Tuning],
) -> list[Measured]:
    """Time a product of one chunk in each way.

    Cost: the primal work and five products of the chunk for each of them.

    Args:
        make: returns products computed in such a way.
        batch: images (n, ...), labels (n,) and weights (n,) of the chunk.
        vector: shape (P,).
        tunings: ways; the first is what the others are compared with.
    """
    found: list[Measured] = []
    expected: Tensor | None = None
    device = vector.device
    for tuning in tunings:
        with exact_products(device, deterministic=tuning.deterministic, benchmark=tuning.benchmark):
            products = make(tuning)
            chunk = products.linearise(*batch)
            product = chunk.product(products.direction(vector))
            seconds = [
                seconds_of(lambda: chunk.product(products.direction(vector)), device)  # noqa: B023
                for _ in range(1 + _ROUNDS)
            ]
        if expected is None:
            expected = product
        error = float((product - expected).norm()) / max(float(expected.norm()), 1e-300)
        found.append(Measured(tuning, statistics.median(seconds[1:]), error))
    return found


def fastest(measured: Sequence[Measured], dtype: torch.dtype) -> Tuning:
    """Return the fastest way whose product agrees with that of the first."""
    right = [m for m in measured if m.error <= ALLOWED[dtype]] or list(measured[:1])
    best = min(right, key=lambda m: m.seconds)
    logger.info(
        "measured products: %s",
        "; ".join(
            f"{m.tuning.describe() or 'as by default'} {1e3 * m.seconds:.3g} ms"
            + ("" if m in right else " (differs)")
            for m in measured
        ),
    )
    return best.tuning
