"""Where a run starts: at a random vector, or at known ones and a random part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectra.krylov.probes import draw_probe
from spectra.operators.interface import SymmetricOperator

# Ours: what is random in a start at two known vectors. A run from it is known to have missed
# nothing three steps later than one from a random vector, where residuals shrink tenfold a step.
RANDOM_PART = 0.3


@dataclass(frozen=True)
class Start:
    """A start vector, and how much of it is random.

    Attributes:
        vector: shape (P,), float64, on the operator's device.
        random_share: squared length of the random part over that of ``vector``; 1: all of it.
    """

    vector: Tensor = field(repr=False)
    random_share: float = 1.0


def draw_start(
    op: SymmetricOperator, generator: torch.Generator, known: Sequence[Tensor] = ()
) -> Start:
    """Return a start uniform on the sphere, or the sum of ``known`` and a random part.

    Args:
        op: whose size and device it has.
        generator: on the CPU.
        known: vectors of length 1 that do not depend on ``generator``, each (P,).
    """
    random = draw_probe(op.size, probe="normal", generator=generator).to(op.device)
    if not known:
        return Start(random)
    vector = torch.stack([*known, RANDOM_PART * random]).sum(0)
    return Start(vector, float(RANDOM_PART**2 / (vector @ vector)))
