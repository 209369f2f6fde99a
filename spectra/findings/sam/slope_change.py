"""Whether the mean slope along a direction is larger with SAM than without, and how sure that is.

A ratio ⟨g_SAM, v⟩/⟨g, v⟩ alone says little: along v_min the slope is a small part of the gradient,
often smaller than its error, and a number divided by noise may be anything. So both slopes are
given with their errors, and a factor only where the slope without SAM is told from 0.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from spectra.errors import InputError
from spectra.krylov.quadrature.intervals import LEVEL, Interval
from spectra.krylov.tridiagonal import FloatArray

STRENGTHENS, WEAKENS, UNCHANGED, OPEN = "strengthens", "weakens", "does not change", "open"
EFFECTS = (STRENGTHENS, WEAKENS, UNCHANGED, OPEN)
# Ours: a change of less than a hundredth moves no training.
LEAST_CHANGE = 0.01


@dataclass(frozen=True)
class SlopeChange:
    """The slope of a loss along v with and without SAM's ascent step, as means over draws.

    Attributes:
        draws: images, or mini-batches.
        plain: ⟨g, v⟩, loss / parameter; v is turned so that it is >= 0.
        plain_error: its standard error over the draws; 0 where there is one.
        sam: ⟨g_SAM, v⟩, with the same v.
        sam_error: its standard error.
        confidence: that the larger of |sam| and |plain| is the larger one; None where there is one
            draw.
        factor: |sam| / |plain| with its interval; None where ``plain`` is not told from 0, or
            there is one draw.
    """

    draws: int
    plain: float
    plain_error: float
    sam: float
    sam_error: float
    confidence: float | None
    factor: Interval | None

    @property
    def turned(self) -> bool:
        """Whether SAM turns the step round: both signs are told, and they differ."""
        return self.factor is not None and self.plain * self.sam < 0

    @property
    def name(self) -> str:
        """One of :data:`EFFECTS`: what holds with a confidence of 95 %."""
        if self.factor is not None and not self.turned:
            ends = self.factor.lower, self.factor.upper
            if max(abs(end - 1) for end in ends) <= LEAST_CHANGE:
                return UNCHANGED
        if self.confidence is None or self.confidence < LEVEL:
            return OPEN
        return STRENGTHENS if abs(self.sam) > abs(self.plain) else WEAKENS


def slope_change(
    plain: FloatArray, sam: FloatArray, *, weights: FloatArray | None = None
) -> SlopeChange:
    """Compare the means of paired slopes.

    |S| > |D| where S - D and S + D have one sign, |S| < |D| where they have two. Each sign is
    tested by Student's t over the draws, and the answer has the confidence of the less sure one.
    Two means that are noise are thereby never told apart, whatever their sizes.

    Args:
        plain: ⟨g_i, v⟩ of each draw, shape (n,), n >= 1.
        sam: ⟨g_SAM,i, v⟩ of the same draws.
        weights: of the draws, >= 0, with a positive sum; None: equal ones.

    Source: both signs at once, Berger 1982 (intersection-union tests); the interval of a ratio of
    means, Fieller 1954, with t in place of the normal distribution.

    Example:
        >>> import numpy as np
        >>> from spectra.findings.sam.slope_change import slope_change
        >>> plain = np.array([1.0, 1.1, 0.9, 1.0])
        >>> found = slope_change(plain, -3 * plain)
        >>> found.name, found.turned, round(found.factor.estimate, 6)
        ('strengthens', True, 3.0)
        >>> slope_change(np.array([1.0, -1.0, 0.5]), np.array([30.0, -25.0, 9.0])).name
        'open'
    """
    n = len(plain)
    if n < 1 or plain.shape != sam.shape or plain.ndim != 1:
        raise InputError(f"slopes must be pairs, got shapes {plain.shape} and {sam.shape}")
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    both = np.stack([plain, sam])
    if float(both[0] @ w) < 0:
        both = -both
    d, s = (both @ w).tolist()
    if n == 1:
        return SlopeChange(1, d, 0.0, s, 0.0, None, None)
    apart = both - np.array([[d], [s]])
    covariance = (w**2 * apart) @ apart.T * (n / (n - 1))
    (dd, ds), (_, ss) = covariance.tolist()
    signs = ((s - d, ss - 2 * ds + dd), (s + d, ss + 2 * ds + dd))
    confidence = min(
        _confidence(mean, variance, n, max(abs(s), abs(d))) for mean, variance in signs
    )
    return SlopeChange(
        n, d, math.sqrt(dd), s, math.sqrt(ss), confidence, _fieller(d, s, dd, ds, ss, n)
    )


def _confidence(mean: float, variance: float, n: int, scale: float) -> float:
    """Return the confidence that a mean of n draws has the sign that it has."""
    if abs(mean) <= 1e-12 * scale:  # rounding
        return 0.5
    t = abs(mean) / math.sqrt(max(variance, 0.0)) if variance > 0 else math.inf
    return float(stdtr(n - 1, t))


def _fieller(d: float, s: float, dd: float, ds: float, ss: float, n: int) -> Interval | None:
    """Return |s/d| with its interval; None where that is not bounded."""
    t2 = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) ** 2
    a = d * d - t2 * dd
    if a <= 0:
        return None
    b, c = d * s - t2 * ds, s * s - t2 * ss
    root = math.sqrt(max(b * b - a * c, 0.0))
    low, high = sorted(((b - root) / a, (b + root) / a))
    ends = sorted((abs(low), abs(high)))
    return Interval(0.0 if low < 0 < high else ends[0], abs(s / d), ends[1], LEVEL)
