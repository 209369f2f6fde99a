"""The trust-region subproblem of a small matrix, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectra.krylov.tridiagonal import FloatArray

# Halvings of an interval: more than the digits of float64, so that its ends meet.
_HALVINGS = 200


@dataclass(frozen=True)
class BestStep:
    """The solution of a trust-region subproblem.

    Attributes:
        step: s, shape (m,).
        decrease: -(gᵀs + ½ sᵀHs) >= 0.
        multiplier: σ >= 0 with (H + σ) s = -g and H + σ positive semidefinite.
    """

    step: FloatArray
    decrease: float
    multiplier: float


def best_step(matrix: FloatArray, slope: FloatArray, radius: float) -> BestStep:
    """Minimise gᵀs + ½ sᵀHs over ‖s‖ <= r, exactly, the hard case included.

    Cost: an eigenproblem of size m.

    Args:
        matrix: H, shape (m, m), symmetric.
        slope: g, shape (m,).
        radius: r > 0.

    Source: Conn, Gould & Toint, Trust-Region Methods (2000), chapter 7.3. Departure: bisection in
    the distance of σ from -λmin, as m is at most some dozens.

    Example:
        >>> import numpy as np
        >>> found = best_step(np.diag([-1.0, 4.0]), np.array([0.0, 0.0]), 2.0)
        >>> [abs(float(x)) for x in found.step], found.decrease
        ([2.0, 0.0], 2.0)
    """
    values, vectors = np.linalg.eigh(matrix)
    slopes = vectors.T @ slope
    least = max(0.0, -float(values[0]))  # the smallest multiplier that is allowed
    gaps = np.maximum(values + least, 0.0)

    def solution(above: float) -> FloatArray:
        """Return the step for σ = least + above; infinite where that divides by 0."""
        found: FloatArray = np.zeros_like(slopes)
        with np.errstate(divide="ignore", over="ignore"):
            np.divide(-slopes, gaps + above, out=found, where=slopes != 0)
        return found

    low, high = 0.0, float(np.linalg.norm(slope)) / radius
    step = solution(0.0)
    if np.linalg.norm(step) > radius:
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if np.linalg.norm(solution(middle)) > radius:
                low = middle
            else:
                high = middle
        step = solution(high)
    else:
        high = 0.0
        if least > 0:  # the hard case: what is missing to the radius goes along v_min
            missing = max(0.0, radius**2 - float(step @ step))
            step[0] += np.copysign(missing**0.5, step[0])
    decrease = -float(slopes @ step + 0.5 * (values * step) @ step)
    return BestStep(vectors @ step, max(0.0, decrease), least + high)
