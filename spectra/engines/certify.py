"""What is known of both ends of a spectrum, from what an engine found."""

from __future__ import annotations

import torch

from spectra.engines.result import EngineResult
from spectra.findings.certificates import (
    FLOAT32_FACTOR,
    FLOAT32_ROUNDOFF,
    LARGEST,
    SMALLEST,
    Certificate,
    rounding_bound,
    unbounded,
)
from spectra.krylov.rayleigh_quotients import Eigenpair


def certificates_of(result: EngineResult, dtype: torch.dtype) -> tuple[Certificate, Certificate]:
    """Return what is known of both ends.

    Args:
        result: what an engine found.
        dtype: of the operator's products; the last of them may have been in float64.
    """
    extremes, outer = result.extremes, result.extremes.outer_bounds
    largest = max(abs(extremes.smallest.value), abs(extremes.largest.value))

    def rounding(pair: Eigenpair) -> float:
        if extremes.proven or dtype == torch.float64:
            return rounding_bound(pair.scale or largest, largest)
        return rounding_bound(largest, largest, factor=FLOAT32_FACTOR, unit=FLOAT32_ROUNDOFF)

    def missed(which: str) -> float | None:
        return None if extremes.missed is None else extremes.missed[which == LARGEST]

    def certificate(which: str, pair: Eigenpair, beyond: float | None) -> Certificate:
        return Certificate(
            which=which,
            value=pair.value,
            rounding=rounding(pair),
            residual=pair.residual_norm,
            residual_rounding=pair.residual_rounding,
            proven=extremes.proven,
            beyond=beyond,
            confidence=0.0 if outer is None else 1 - outer.failure,
            why=unbounded(which, result.cause, missed(which)) if outer is None else result.cause,
        )

    return (
        certificate(SMALLEST, extremes.smallest, None if outer is None else outer.below),
        certificate(LARGEST, extremes.largest, None if outer is None else outer.above),
    )
