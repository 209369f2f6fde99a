"""What speaks for a slope: a direction along which the loss falls all around, or the tail of one.

The rule was fixed before it was judged by the controls that were held out (docs/verdicts.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.landscape.network_landscape import BalancedLoss
from spectra.landscape.walk.gradient_model import GradientModel

# Ours: a quarter around 1, up to the 2 of a parabola and a little more; rounds in which it holds.
_TAIL, _TAIL_ROUNDS = (0.75, 3.0), 3
# Ours: log ‖g‖ over log L: 1 on an exponential, (k + 1)/k where the loss falls as x^-k; a half and
# three quarters near x² and x⁴, whose stationary points are near.
_EXPONENT = (0.8, 1.5)
_LOSS_FALLS = 0.9
_RANDOM_POINTS = 3


@dataclass(frozen=True)
class Round:
    """What a round of the search has seen where it began.

    Attributes:
        loss: L.
        grad_norm: ‖g‖ of balanced parameters.
        newton_decrement: gᵀH₊⁻¹g twice what a Newton step lowers L by.
    """

    loss: float
    grad_norm: float
    newton_decrement: float

    @property
    def share(self) -> float:
        """ν = gᵀH₊⁻¹g / L: 1 on an exponential tail, 0 near a stationary point of positive loss."""
        return self.newton_decrement / self.loss if self.loss > 0 else math.nan


def is_tail(rounds: Sequence[Round]) -> bool:
    """Say whether the last three rounds went down the tail of a slope.

    ν was between .75 and 3 in each, the loss fell, and the gradient fell with it as on a tail.

    Example:
        >>> down = [Round(loss, loss, loss) for loss in (1.0, 0.4, 0.2)]
        >>> is_tail(down), is_tail(down[:2])
        (True, False)
    """
    last = rounds[-_TAIL_ROUNDS:]
    if len(last) < _TAIL_ROUNDS or not all(_TAIL[0] <= one.share <= _TAIL[1] for one in last):
        return False
    fall = last[-1].loss / last[0].loss
    if fall > _LOSS_FALLS:
        return False
    exponent = math.log(last[-1].grad_norm / last[0].grad_norm) / math.log(fall)
    return _EXPONENT[0] <= exponent <= _EXPONENT[1]


def least_slope(
    loss: BalancedLoss,
    u: Tensor,
    model: GradientModel,
    *,
    radius: float,
    generator: torch.Generator,
) -> float:
    """Return how much of the gradient stays, along one direction, wherever within R one looks.

    For a unit vector v, vᵀ(g + H p) >= vᵀg - ρ‖Hv‖ for every step p of length ρ: where that is
    positive, the linear model of the gradient vanishes nowhere near. The best v is what the best
    step leaves of g (the duality of least squares in a ball). The true vᵀ∇L is then asked for where
    the model sees it smallest, at both ends of v, at w and at three random points.

    Cost: two products, eight gradients.

    Args:
        loss: in balanced parameters.
        u: where ``model`` was made, within R of w.
        model: of the gradient there.
        radius: R.
        generator: of the random points.

    Returns:
        The smallest of these slopes over ‖g‖ at ``u``: no stationary point was seen near where it
        is positive.
    """
    around = radius + float(u.norm())  # a ball around u that holds that of w
    best = model.step(around)
    left = model.residual(best)
    size_left = float(left.norm())
    if size_left == 0.0:  # the model has a stationary point in reach
        return 0.0
    v = left / size_left
    bend = model.product(v)
    size = float(bend.norm())
    slopes = [float(v @ model.gradient) - around * size]
    points = [u + best.step, torch.zeros_like(u), u - radius * v, u + radius * v]
    if size > 0:
        points.append(u - radius * bend / size)
    for _ in range(_RANDOM_POINTS):
        drawn = torch.randn(len(u), generator=generator, dtype=torch.float64).to(u.device)
        points.append(u + radius * drawn / drawn.norm())
    slopes += [float(v @ loss.gradient(point)) for point in points]
    return min(slopes) / model.grad_norm


def describe_slope(slope: float, asked: float) -> str:
    """Say that the least slope is less than what a verdict asks for, and what it is a part of.

    Example:
        >>> print(describe_slope(-1.9, 0.1))
        the least slope seen is -1.9 ‖g‖ of where the search ended: the loss rises there
    """
    seen = f"the least slope seen is {slope:.2g} ‖g‖ of where the search ended"
    return f"{seen}: the loss rises there" if slope < 0 else f"{seen}, less than {asked:g}"
