"""Saddle, descent, minimum or undecided: stated rules, with the numbers that decided."""

from dataclasses import dataclass

from spectra.errors import InputError

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
VERDICTS = (SADDLE, NEGATIVE_DESCENT, MINIMUM, DESCENT, UNDECIDED)


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


def decide(
    *,
    lambda_min: float,
    lambda_max: float,
    grad_norm: float,
    converged: bool,
    largest_converged: bool,
    radius: float = RADIUS,
    tau: float = TAU,
) -> Verdict:
    """Name the point.

    With ρ* = 2‖g‖ / |λmin|:

    * saddle: λmin < -τ λmax and ρ* <= r;
    * descent with negative curvature: the same λmin, ρ* > r;
    * minimum to tolerance: λmin >= -τ λmax at convergence, and ‖g‖ <= τ λmax r;
    * descent: the same λmin, larger gradient;
    * undecided: anything else.

    A negative λmin needs no convergence at the lower end: a Rayleigh quotient bounds the smallest
    eigenvalue from above. It does at the upper end, or τ λmax would be too small.

    Args:
        lambda_min: Rayleigh quotient at the lower end, from a fresh product over all images.
        lambda_max: likewise at the upper end.
        grad_norm: ‖g‖ of the same loss.
        converged: whether both ends met their tolerance.
        largest_converged: whether the upper end did.
        radius: r: how far the question looks; SAM's ρ, say.
        tau: relative tolerance.
    """
    if not (radius > 0 and tau > 0):
        raise InputError(f"radius and tau must be positive, got {radius} and {tau}")
    critical = 2 * grad_norm / abs(lambda_min) if lambda_min < 0 else None
    floor = -tau * max(lambda_max, 0.0)

    def verdict(name: str, reason: str) -> Verdict:
        return Verdict(name, reason, radius, tau, critical)

    if not largest_converged:
        return verdict(UNDECIDED, "λmax did not converge; raise --max-steps")
    if lambda_min < floor and critical is not None:
        found = f"λmin {lambda_min:.3g} < -τλmax {floor:.3g}"
        if critical <= radius:
            return verdict(SADDLE, f"{found} and ρ* {critical:.3g} <= r {radius:.3g}")
        return verdict(NEGATIVE_DESCENT, f"{found} but ρ* {critical:.3g} > r {radius:.3g}")
    if not converged:
        return verdict(
            UNDECIDED, f"nothing below -τλmax {floor:.3g} found, but λmin did not converge"
        )
    allowed = tau * max(lambda_max, 0.0) * radius
    flat = f"λmin {lambda_min:.3g} >= -τλmax {floor:.3g}"
    if grad_norm <= allowed:
        return verdict(MINIMUM, f"{flat} and ‖g‖ {grad_norm:.3g} <= τλmax·r {allowed:.3g}")
    return verdict(DESCENT, f"{flat} but ‖g‖ {grad_norm:.3g} > τλmax·r {allowed:.3g}")
