"""The trace of a matrix of which a Lanczos run has seen the larger part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Ours: what a run leaves of a block is small, so that few probes tell its trace.
TRACE_PROBES = 10
# Ours: vectors multiplied together, so that their memory is bounded.
_AT_ONCE = 4


@dataclass(frozen=True)
class KnownPart:
    """What a run knows of a matrix B: QᵀBQ of orthonormal Q.

    Attributes:
        size: of B.
        trace: of QᵀBQ.
        whole: Q is a basis of all.
        outside: returns a vector, (size,) in float64, less its part within Q.
    """

    size: int
    trace: float
    whole: bool
    outside: Callable[[Tensor], Tensor]


def trace_from_part(
    part: KnownPart,
    matmat: Callable[[Tensor], Tensor],
    *,
    num_probes: int = TRACE_PROBES,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[float, float]:
    """Return the trace of B and its standard error: tr QᵀBQ and an estimate of what is outside.

    Cost: ``num_probes`` products; none where Q is a basis of all, the error then being 0.

    Args:
        part: what is known.
        matmat: returns B z, float64, for each row of probes (K, size), float64, as they are.
        num_probes: random signs, at least 2.
        generator: of them, on the CPU.
        device: of vectors.

    Source: Hutchinson 1990; Meyer, Musco, Musco & Woodruff 2021.
    """
    if part.whole:
        return part.trace, 0.0
    forms: list[float] = []
    while len(forms) < num_probes:
        count = min(_AT_ONCE, num_probes - len(forms))
        signs = torch.randint(0, 2, (count, part.size), generator=generator).mul_(2).sub_(1)
        rows = torch.stack([part.outside(z) for z in signs.double().to(device)])
        forms += (rows * matmat(rows)).sum(1).tolist()
    error = float(np.std(forms, ddof=1)) / num_probes**0.5
    return part.trace + float(np.mean(forms)), error
