"""The true loss along a line, and how long the curvature at the point lasts there."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.krylov.tridiagonal import FloatArray
from spectra.objective.frozen_loss import FrozenLoss

# Ours: at r/100 a kink beside the point shows, at r the end of the quadratic.
RADIUS_OVER = (100, 10, 1)
# Ours: losses of deep nets are wrong by some tens of the dtype's epsilon; an even part that is not
# ten times as large says nothing.
_NOISE = 100.0
_TIMES_NOISE = 10.0


def loss_line(ops: Sequence[FrozenLoss], vector: Tensor, steps: Sequence[float]) -> FloatArray:
    """Return the losses at w + t v for each t, shape (losses, steps).

    Cost: a forward pass for each loss and step.

    Args:
        ops: losses of the same network.
        vector: v, shape (P,).
        steps: t, parameter units where v has length 1.
    """
    found = np.empty((len(ops), len(steps)))
    for i, op in enumerate(ops):
        for j, t in enumerate(steps):
            with op.moved(t * vector.to(op.device, torch.float64)):
                found[i, j] = op.loss()
    return found


def rounding_of_loss(loss: float, dtype: torch.dtype) -> float:
    """Return what a loss that was computed in ``dtype`` may be wrong by, loss units."""
    return _NOISE * torch.finfo(dtype).eps * abs(loss)


def secants_over_pointwise(
    forward: Sequence[float],
    backward: Sequence[float],
    steps: Sequence[float],
    *,
    loss: float,
    curvature: float,
    dtype: torch.dtype = torch.float64,
) -> tuple[tuple[float, float], ...]:
    """Return (t, ratio) for each t: the curvature between -t and t, over that at the point.

    The ratio is 2 (½ (L(t) + L(-t)) - L(0)) / (λ t²): 1 on a parabola. Far from 1 at small t, a
    kink is beside the point; far from 1 at large t alone, the loss is no parabola that far out.
    Steps at which rounding would decide are left out.

    Args:
        forward: L(t), loss units.
        backward: L(-t).
        steps: t > 0, parameter units, rising.
        loss: L(0).
        curvature: λ, not 0.
        dtype: in which the losses were computed.

    Raises:
        InputError: the curvature is 0.

    Example:
        >>> parabola = [-1.0 * t**2 for t in (0.1, 1.0)]
        >>> found = secants_over_pointwise(
        ...     parabola, parabola, (0.1, 1.0), loss=0.0, curvature=-2.0
        ... )
        >>> [(t, round(ratio, 6)) for t, ratio in found]
        [(0.1, 1.0), (1.0, 1.0)]
    """
    if not curvature:
        raise InputError("a secant is compared with the curvature at the point, which is 0")
    found = []
    for up, down, t in zip(forward, backward, steps, strict=True):
        noise = rounding_of_loss(max(abs(up), abs(down), abs(loss)), dtype)
        if abs(curvature) * t**2 / 2 > _TIMES_NOISE * noise:
            found.append((t, ((up - loss) + (down - loss)) / (curvature * t**2)))
    return tuple(found)
