"""Saddle, descent, minimum or undecided: stated rules, with the numbers that decided."""

import math
from dataclasses import dataclass

from spectra.errors import InputError, is_number

# Ours: three decades below λmax is where float32 products of deep ReLU nets stop being
# trustworthy (single ReLU masks flip), so smaller negative values are not called negative.
TAU = 1e-3
# Ours: the smallest SAM radius that the paper uses, for checkpoints that were trained without SAM.
RADIUS = 0.1

SADDLE = "saddle"
NEGATIVE_DESCENT = "descent with negative curvature"
MINIMUM = "minimum to tolerance"
DESCENT = "descent"
UNDECIDED = "undecided"
NOT_A_MATRIX = "not a fixed matrix"  # of products that change
NOT_THE_HESSIAN = "not the Hessian"  # of the Gauss-Newton matrix, which sees no saddle
VERDICTS = (SADDLE, NEGATIVE_DESCENT, MINIMUM, DESCENT, UNDECIDED, NOT_A_MATRIX, NOT_THE_HESSIAN)


@dataclass(frozen=True)
class Verdict:
    """What a point is for one loss.

    Attributes:
        name: one of :data:`VERDICTS`.
        reason: the comparison that decided, with its numbers.
        radius: r, parameter units.
        tau: relative tolerance.
        critical_radius: ρ* = 2‖g‖ / |λmin|, where the curvature term of a step along v_min
            overtakes the gradient; None where λmin >= 0.
    """

    name: str
    reason: str
    radius: float
    tau: float
    critical_radius: float | None


def check_thresholds(radius: float, tau: float) -> None:
    """Raise InputError unless both are positive numbers."""
    numbers = is_number(radius) and is_number(tau)
    if not (numbers and radius > 0 and tau > 0):
        raise InputError(f"radius and tau must be positive, got {radius!r} and {tau!r}")


def decide(
    *,
    lambda_min: float,
    lambda_max: float,
    grad_norm: float,
    converged: bool,
    largest_converged: bool,
    radius: float = RADIUS,
    tau: float = TAU,
    rounding: float = 0.0,
    residual_max: float = 0.0,
    lower_bound: float | None = None,
    upper_bound: float | None = None,
    bounded: bool | None = None,
) -> Verdict:
    """Name the point.

    With ρ* = 2‖g‖ / |λmin| and δ the rounding; each side takes the estimate of λmax that speaks
    against it, ``upper_bound`` (else value + residual) or value - δ:

    * saddle: λmin + δ < -τ λmax and ρ* <= r;
    * descent with negative curvature: the same λmin, ρ* > r;
    * minimum to tolerance: nothing below -τ λmax, and ‖g‖ <= τ λmax r;
    * descent: nothing below -τ λmax, larger gradient;
    * undecided: anything else.

    Nothing is below -τ λmax if ``lower_bound`` is not; without a bound, if both ends converged and
    λmin is not, and the reason then says that it is not bounded. A saddle needs no convergence at
    the lower end, as a Rayleigh quotient bounds the smallest eigenvalue from above, hence ρ* too;
    descent with negative curvature needs it, or a ``lower_bound`` whose ρ* is > r as well.
    What needs λmax from above needs ``upper_bound`` or convergence there; a minimum with a lower
    bound needs neither, as a larger λmax only allows more.

    Args:
        lambda_min: Rayleigh quotient at the lower end, from a fresh product over all images.
        lambda_max: Rayleigh quotient at the upper end, from such a product too.
        grad_norm: ‖g‖ of the same loss.
        converged: whether both ends met their tolerance.
        largest_converged: whether the upper end did.
        radius: r: how far the question looks; SAM's ρ, say.
        tau: relative tolerance.
        rounding: δ of both Rayleigh quotients, eigenvalue units.
        residual_max: ‖H y - λmax y‖; stands in for a missing ``upper_bound``.
        lower_bound: no eigenvalue is smaller, see :mod:`spectra.krylov.outer_bounds`. One above
            ``lambda_min`` counts as ``lambda_min``.
        upper_bound: no eigenvalue is larger.
        bounded: True: convergence does not stand in for a missing ``lower_bound``; False: bounds
            that are given are not used (their run was no cold one); None: used where given.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> ends = {"lambda_min": -2.0, "lambda_max": 10.0}
        >>> met = {"converged": True, "largest_converged": True}
        >>> spectra.decide(**ends, **met, grad_norm=0.01).name
        'saddle'
        >>> spectra.decide(**ends, **met, grad_norm=3.0).reason
        'λmin -2 < -τλmax -0.01 but ρ* 3 > r 0.1'
    """
    check_thresholds(radius, tau)
    if not (0 <= rounding < math.inf and 0 <= residual_max < math.inf):
        raise InputError(
            f"rounding and residual_max must be finite and >= 0, got {rounding} and {residual_max}"
        )
    if bounded is False:
        lower_bound = upper_bound = None
    critical = 2 * grad_norm / abs(lambda_min) if lambda_min < 0 else None
    most = upper_bound if upper_bound is not None else lambda_max + residual_max
    deep = -tau * max(most, lambda_max, 0.0)
    floor = -tau * max(lambda_max - rounding, 0.0)

    def verdict(name: str, reason: str) -> Verdict:
        return Verdict(name, reason, radius, tau, critical)

    if not largest_converged and upper_bound is None and lower_bound is None:
        return verdict(UNDECIDED, "λmax did not converge; raise --max-steps")
    top_known = largest_converged or upper_bound is not None
    if lambda_min + rounding < deep and critical is not None and top_known:
        found = f"λmin {lambda_min:.3g} < -τλmax {deep:.3g}"
        if critical <= radius:
            return verdict(SADDLE, f"{found} and ρ* {critical:.3g} <= r {radius:.3g}")
        deepest = lambda_min if lower_bound is None else min(lower_bound, lambda_min)
        if not converged and (lower_bound is None or 2 * grad_norm <= radius * abs(deepest)):
            return verdict(
                UNDECIDED,
                f"{found}, ρ* at most {critical:.3g}, r {radius:.3g}, but λmin did not converge; "
                "raise --max-steps",
            )
        return verdict(NEGATIVE_DESCENT, f"{found} but ρ* {critical:.3g} > r {radius:.3g}")
    if lambda_min < floor:
        return verdict(UNDECIDED, _too_close(lambda_min, deep, floor, top_known))
    if lower_bound is not None:
        if lower_bound < floor:
            return verdict(UNDECIDED, _too_far(lower_bound, floor))
        flat = f"λmin >= {min(lower_bound, lambda_min):.3g} >= -τλmax {floor:.3g}"
    elif not converged:
        return verdict(
            UNDECIDED, f"nothing below -τλmax {floor:.3g} found, but λmin did not converge"
        )
    elif bounded:
        return verdict(
            UNDECIDED,
            f"nothing below -τλmax {floor:.3g} found, not bounded; try --certify-below",
        )
    else:
        flat = f"λmin {lambda_min:.3g} >= -τλmax {floor:.3g} (nothing below found, not bounded)"
    allowed = -floor * radius
    if grad_norm <= allowed:
        return verdict(MINIMUM, f"{flat} and ‖g‖ {grad_norm:.3g} <= τλmax·r {allowed:.3g}")
    if not top_known:
        return verdict(UNDECIDED, f"{flat}, but λmax did not converge; raise --max-steps")
    return verdict(DESCENT, f"{flat} but ‖g‖ {grad_norm:.3g} > τλmax·r {allowed:.3g}")


def _too_close(lambda_min: float, deep: float, floor: float, top_known: bool) -> str:
    if not top_known:
        return f"λmin {lambda_min:.3g} < -τλmax {floor:.3g}, but λmax did not converge; more steps"
    return (
        f"λmin {lambda_min:.3g} is below -τλmax {floor:.3g} for the λmax found, but not below "
        f"{deep:.3g} for the largest it may be; more steps or --dtype float64"
    )


def _too_far(lower_bound: float, floor: float) -> str:
    how_far = f"{lower_bound / floor:.3g} times as deep" if floor else "deeper"
    return (
        f"nothing below -τλmax {floor:.3g} found, but λmin >= {lower_bound:.3g} only, {how_far}; "
        "--certify-below with more steps"
    )
