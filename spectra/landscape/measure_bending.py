"""Measuring what negative curvature does: two steps by the model, taken in the true loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.krylov.defaults import FLOOR
from spectra.krylov.rayleigh_quotients import Eigenpair
from spectra.landscape.bending import BELIEVED, NOTHING, Bending
from spectra.landscape.line import (
    RADIUS_OVER,
    loss_line,
    rounding_of_loss,
    secants_over_pointwise,
)
from spectra.landscape.model_steps import MOST_PRODUCTS, model_steps
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress, counted, within

# Ours: where less of a decrease than this is bending's by the model, no pass is spent on it.
_NEGLIGIBLE = 0.005
# Ours: parts of a step that are tried where the whole of it keeps less than half its promise.
_SHORTER = (0.5, 0.25, 0.125)
# Ours: where the two ends miss the best of a quarter turn, these find most of it.
_ANGLES = (math.pi / 6, math.pi / 3)
# Ours: a step that is shorter than the radius by more than this is tried at the radius too.
_NEARLY = 1.05
# Ours: more overlap than this of v_min and v_max says that they are no two eigenvectors.
_APART = 1e-4


def measure_bending(
    op: HessianOperator,
    lowest: Eigenpair,
    gradient: Tensor | None = None,
    *,
    radius: float,
    highest: Eigenpair | None = None,
    max_products: int = MOST_PRODUCTS,
    proof: bool = True,
    on_progress: Progress | None = None,
) -> Bending:
    """Measure what a step of length at most r removes of a loss, and what of it is bending.

    The quadratic model gives two steps, with its negative curvature and with that cut off
    (:func:`spectra.landscape.model_steps.model_steps`). The true loss is then asked what they
    remove, so that neither a kink nor the end of the quadratic misleads. With bending: the best of
    all points that were tried, v_min in both directions included. Without: the second step's
    decrease, less what bending has added to it, which is the true loss between that step and the
    same step without its part along negative curvature, less the gradient's part in it; or what the
    step without that part removes at the radius, where that is more.

    Cost: 3 to 6 products most often, ``max_products`` at most, and 9 to 17 losses in float64, and a
    gradient where none is given: a third and one of a product each. In all 7 to 12 on the bundled
    digits networks, up to 16 on CIFAR-10's.

    Args:
        op: the Hessian of the loss.
        lowest: the pair of λmin.
        gradient: g, shape (P,), where it is known.
        radius: r > 0, parameter units.
        highest: the pair of λmax, where it is known: it saves a product.
        max_products: limit on the products of the two steps.
        proof: take the losses in float64; without, those of small steps drown in rounding and are
            left out.
        on_progress: called after each product with ("bending", products, ``max_products``).

    Raises:
        InputError: a shape or a number is out of range.
        NonFiniteError: a product held NaN or infinity.

    Example:
        >>> import spectra
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> H = spectra.class_hessian(net, torch.randn(9, 4), [0, 1, 1] * 3, 1)
        >>> ends = spectra.extreme_eigenpairs(H)
        >>> found = spectra.measure_bending(H, ends.smallest, radius=0.1, highest=ends.largest)
        >>> 0 <= found.share <= 1, found.lowered_without <= found.lowered_with
        (True, True)
    """
    if not radius > 0:
        raise InputError(f"radius must be positive, got {radius}")
    exact = op.in_float64() if proof else op
    g = (exact.gradient() if gradient is None else gradient).to(op.device, torch.float64)
    loss = exact.loss()
    known = [pair.to(op.device) for pair in (lowest, highest) if pair is not None]
    if len(known) > 1 and abs(float(known[0].vector @ known[1].vector)) > _APART:
        known = known[:1]
    made = counted(within(on_progress, "bending"), max_products)
    steps = model_steps(op, g, radius, known=known, max_products=max_products, on_made=made)
    tried = _Tried(exact, loss)
    secants = _along(tried, lowest, highest, radius)
    best, flat = steps.with_bending, steps.without
    part, without = tried.best_part(flat.step, flat.decrease, radius)
    straight = flat.step - flat.bent
    if best is not flat:
        _, as_chosen = tried.best_part(best.step, best.decrease, radius)
        if best.bent_decrease > _NEGLIGIBLE * best.decrease:
            # Of two directions between which the model hardly chooses, the true loss may prefer
            # one, and more or less of the gradient's beside it.
            other_way = tried.decrease(best.step - 2 * best.bent) > as_chosen
            tried.between(straight, -best.bent if other_way else best.bent, radius)
    if flat.bent_decrease > _NEGLIGIBLE * best.decrease:
        kept, by_gradient = tried.decrease(part * straight), -part * float(g @ flat.bent)
        without -= max(0.0, without - kept - by_gradient)
        without = max(without, kept, tried.at_radius(straight, radius))
    most = tried.most if tried.most > rounding_of_loss(loss, exact.dtype) else 0.0
    without = min(without, most)
    exact.count_passes(tried.passes + 1 + (3 if gradient is None else 0))

    def relative(decrease: float) -> float | None:
        return decrease / abs(loss) if loss else None

    return Bending(
        radius=radius,
        loss=loss,
        secants=secants,
        predicted_with=relative(best.decrease),
        predicted_without=relative(flat.decrease),
        lowered_with=relative(most),
        lowered_without=relative(without),
        share=min(1.0, (most - max(without, 0.0)) / most) if most else 0.0,
        steps=steps.products,
        converged=steps.converged or _reach(g, lowest, radius) <= NOTHING * abs(loss),
    )


def _reach(gradient: Tensor, lowest: Eigenpair, radius: float) -> float:
    """Return more than the quadratic model can promise of any step within a radius."""
    return radius * float(gradient.norm()) + 0.5 * radius**2 * max(0.0, -lowest.value)


def _along(
    tried: _Tried, lowest: Eigenpair, highest: Eigenpair | None, radius: float
) -> tuple[tuple[float, float], ...]:
    """Return the curvature of the true loss along v_min at some distances, over that at w."""
    largest = abs(lowest.value) if highest is None else abs(highest.value)
    if lowest.value >= -FLOOR * largest:
        return ()
    steps = [radius / part for part in RADIUS_OVER]
    line = tried.along(lowest.vector, [*steps, *[-t for t in steps]])
    count = len(steps)
    return secants_over_pointwise(
        line[:count],
        line[count:],
        steps,
        loss=tried.loss,
        curvature=lowest.value,
        dtype=tried.op.dtype,
    )


@dataclass
class _Tried:
    """The true loss at points that were tried.

    Attributes:
        op: whose loss.
        loss: at w.
        most: the largest decrease seen.
        passes: forward passes made.
    """

    op: HessianOperator
    loss: float
    most: float = 0.0
    passes: int = 0

    def along(self, vector: Tensor, steps: Sequence[float]) -> list[float]:
        """Return the losses at w + t v."""
        (line,) = loss_line([self.op], vector, steps)
        self.passes += len(steps)
        found: list[float] = line.tolist()
        self.most = max([self.most, *[self.loss - value for value in found if value == value]])
        return found

    def decrease(self, step: Tensor) -> float:
        """Return how much lower the loss is at w + s; minus infinity where it is no number."""
        (found,) = self.along(step, [1.0])
        return self.loss - found if found == found else -float("inf")

    def at_radius(self, step: Tensor, radius: float) -> float:
        """Return how much lower the loss is at the radius, in the direction of a step."""
        length = float(step.norm())
        return self.decrease(radius / length * step) if length else 0.0

    def between(self, one: Tensor, other: Tensor, radius: float) -> None:
        """Try steps at the radius in directions between two that are at right angles."""
        lengths = float(one.norm()), float(other.norm())
        if all(lengths):
            for angle in _ANGLES:
                mixed = math.cos(angle) / lengths[0] * one + math.sin(angle) / lengths[1] * other
                self.decrease(radius * mixed)

    def best_part(self, step: Tensor, promised: float, radius: float) -> tuple[float, float]:
        """Return how much of a step lowers the loss most, and by how much it does.

        Parts of it are tried where the whole keeps less than half of what the model promised, else
        all that there is up to the radius: on an exponential tail the model stops short.
        """
        found = [(self.decrease(step), 1.0)]
        length = float(step.norm())
        if found[0][0] < promised / BELIEVED:
            found += [(self.decrease(part * step), part) for part in _SHORTER]
        elif 0 < length < radius / _NEARLY:
            found.append((self.at_radius(step, radius), radius / length))
        decrease, part = max(found)
        return part, decrease
