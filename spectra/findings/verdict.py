"""Whether a loss curves down at these weights: stated rules, with the numbers that decided.

The curvature at a point is one question; whether a stationary point is near is another, which
:mod:`spectra.landscape` answers by a search. Files of earlier versions hold names of a rule that
took both from a ratio (``saddle``, ``descent with negative curvature`` ...); they read as they are.
"""

import math
from dataclasses import dataclass, field

from spectra.errors import InputError, is_number
from spectra.system.files.writing import WHEN_SET

# Ours: three decades below λmax is where float32 products of deep ReLU nets stop being
# trustworthy (single ReLU masks flip), so smaller negative values are not called negative.
TAU = 1e-3
# Ours: the smallest SAM radius that the paper uses, for checkpoints that were trained without SAM.
RADIUS = 0.1

NEGATIVE = "negative curvature"
NOT_NEGATIVE = "no negative curvature"
UNDECIDED = "undecided"
NOT_A_MATRIX = "not a fixed matrix"  # of products that change
NOT_THE_HESSIAN = "not the Hessian"  # of the Gauss-Newton matrix, which sees no negative curvature
VERDICTS = (NEGATIVE, NOT_NEGATIVE, UNDECIDED, NOT_A_MATRIX, NOT_THE_HESSIAN)


@dataclass(frozen=True)
class Verdict:
    """What the curvature of one loss is at the weights that it was measured at.

    Attributes:
        name: one of :data:`VERDICTS`; in files of earlier versions a name of the earlier rule.
        reason: the comparison that decided, with its numbers.
        radius: r, parameter units: how far from the weights one cares to look.
        tau: relative tolerance.
        critical_radius: ρ* = 2‖g‖ / |λmin|, where the curvature term of a step along v_min
            overtakes the gradient, if both stayed what they are at the weights; None where
            λmin >= 0.
        next_step: what would change the name, or settle it, for people; empty in files of earlier
            versions.
    """

    name: str
    reason: str
    radius: float
    tau: float
    critical_radius: float | None
    next_step: str = field(default="", metadata=WHEN_SET)


# Where no option of an analysis would change the name.
ELSEWHERE = "Nothing but other weights, or another loss, would change this."
MORE_STEPS = "More steps (--max-steps) may settle it."


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
    in_float64: bool = False,
) -> Verdict:
    """Say whether there is negative curvature.

    With δ the rounding; each side takes the estimate of λmax that speaks against it,
    ``upper_bound`` (else value + residual) or value - δ:

    * negative curvature: λmin + δ < -τ λmax;
    * no negative curvature: nothing below -τ λmax;
    * undecided: anything else.

    Negative curvature needs no convergence at the lower end, as a Rayleigh quotient bounds the
    smallest eigenvalue from above; it needs λmax from above: ``upper_bound``, or convergence there.
    Nothing is below -τ λmax if ``lower_bound`` is not, and a larger λmax would only allow more;
    without a bound, if both ends converged and λmin is not, and the reason then says that it is
    not bounded. The gradient decides nothing.

    Args:
        lambda_min: Rayleigh quotient at the lower end, from a fresh product over all images.
        lambda_max: Rayleigh quotient at the upper end, from such a product too.
        grad_norm: ‖g‖ of the same loss, for ρ* alone.
        converged: whether both ends met their tolerance.
        largest_converged: whether the upper end did.
        radius: r, kept beside ρ*: how far the question looks; SAM's ρ, say.
        tau: relative tolerance.
        rounding: δ of both Rayleigh quotients, eigenvalue units.
        residual_max: ‖H y - λmax y‖; stands in for a missing ``upper_bound``.
        lower_bound: no eigenvalue is smaller, see :mod:`spectra.krylov.outer_bounds`. One above
            ``lambda_min`` counts as ``lambda_min``.
        upper_bound: no eigenvalue is larger.
        bounded: True: convergence does not stand in for a missing ``lower_bound``; False: bounds
            that are given are not used (their run was no cold one); None: used where given.
        in_float64: whether the products were in float64, which then is no advice.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> met = {"grad_norm": 3.0, "converged": True, "largest_converged": True}
        >>> found = spectra.decide(lambda_min=-2.0, lambda_max=10.0, **met)
        >>> found.name, found.reason, found.critical_radius
        ('negative curvature', 'λmin -2 < -τλmax -0.01', 3.0)
        >>> spectra.decide(lambda_min=1e-6, lambda_max=10.0, **met).name
        'no negative curvature'
    """
    check_thresholds(radius, tau)
    if not (0 <= rounding < math.inf and 0 <= residual_max < math.inf):
        raise InputError(
            f"rounding and residual_max must be finite and >= 0, got {rounding} and {residual_max}"
        )
    if bounded is False:
        lower_bound = upper_bound = None
    critical = 2 * grad_norm / abs(lambda_min) if lambda_min < 0 else None
    most = max(upper_bound if upper_bound is not None else lambda_max + residual_max, lambda_max)
    least = lambda_max - rounding
    deep, floor = -tau * max(most, 0.0), -tau * max(least, 0.0)
    top_known = largest_converged or upper_bound is not None

    def verdict(name: str, reason: str, next_step: str) -> Verdict:
        return Verdict(name, reason, radius, tau, critical, next_step)

    if not top_known and lower_bound is None:
        return verdict(UNDECIDED, "λmax did not converge", MORE_STEPS)
    if top_known and lambda_min + rounding < deep:
        ratio = (lambda_min + rounding) / -most if most > 0 else math.inf
        return verdict(
            NEGATIVE,
            f"λmin {lambda_min:.3g} < -τλmax {deep:.3g}",
            _tolerance("over", ratio, NOT_NEGATIVE) if ratio < math.inf else ELSEWHERE,
        )
    if lambda_min < floor:
        return verdict(UNDECIDED, *_too_close(lambda_min, deep, floor, top_known, in_float64))
    if lower_bound is None:
        found = f"λmin {lambda_min:.3g} >= -τλmax {floor:.3g} (nothing below found, not bounded)"
        if converged:
            enough = UNDECIDED if bounded else NOT_NEGATIVE
            return verdict(enough, found, "A bound from below (--certify-below) would settle it.")
        return verdict(
            UNDECIDED,
            f"nothing below -τλmax {floor:.3g} found, but λmin did not converge",
            "More steps (--max-steps), or a bound from below (--certify-below), may settle it.",
        )
    if lower_bound < floor:
        return verdict(UNDECIDED, *_too_far(lower_bound, floor, least))
    lowest = min(lower_bound, lambda_min)
    return verdict(
        NOT_NEGATIVE,
        f"λmin >= {lowest:.3g} >= -τλmax {floor:.3g}",
        _tolerance("under", lowest / -least, UNDECIDED) if lowest < 0 else ELSEWHERE,
    )


def _tolerance(way: str, border: float, name: str) -> str:
    """Return beyond which τ the name is another."""
    return f"With a tolerance τ {way} {border:.2g} (--tau) it is '{name}'."


def _too_close(
    lambda_min: float, deep: float, floor: float, top_known: bool, in_float64: bool
) -> tuple[str, str]:
    """Return reason and next step where λmin is below -τλmax for some λmax that may be."""
    if not top_known:
        return (
            f"λmin {lambda_min:.3g} < -τλmax {floor:.3g}, but λmax did not converge",
            MORE_STEPS,
        )
    finer = "" if in_float64 else ", --dtype float64"
    return (
        f"λmin {lambda_min:.3g} is below -τλmax {floor:.3g} for the λmax found, but not below "
        f"{deep:.3g} for the largest it may be",
        f"More steps (--max-steps){finer} or another tolerance τ (--tau) may settle it.",
    )


def _too_far(lower_bound: float, floor: float, least: float) -> tuple[str, str]:
    """Return reason and next step where the bound from below leaves room for what is under it."""
    how_far = f"{lower_bound / floor:.3g} times as deep" if floor else "deeper"
    larger = f" {_tolerance('over', -lower_bound / least, NOT_NEGATIVE)}" if floor else ""
    return (
        f"nothing below -τλmax {floor:.3g} found, but λmin >= {lower_bound:.3g} only, {how_far}",
        f"A closer bound (--certify-below with more --max-steps) may settle it.{larger}",
    )
