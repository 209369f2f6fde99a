"""How numbers are written in the documents: short, with as many digits as are told."""

from __future__ import annotations

import math
from collections.abc import Sequence

NONE = "–"
# Of a float64's square, times a million parameters: masses below it are rounding, which is another
# on another processor.
_ROUNDING = 1e-25


def sig(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits: ``.985``, ``−44.4``, ``2e-4``.

    Args:
        value: None is a dash.
        digits: that are told; figures before the point are never rounded away.
    """
    if value is None:
        return NONE
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if not -4 < exponent < 6:
        mantissa, power = f"{rounded:.{digits - 1}e}".split("e")
        return _signed(f"{mantissa}e{int(power)}")
    places = max(0, digits - 1 - exponent)
    return fixed(rounded if places else value, places)


def fixed(value: float, places: int) -> str:
    """Return a number with so many places behind the point, thousands apart."""
    written = f"{value:,.{places}f}"
    return _signed(written.replace("0.", ".", 1) if abs(value) < 1 and places else written)


def percent(fraction: float, places: int = 0) -> str:
    """Return a fraction as per cent: ``75.2 %``."""
    return f"{fixed(100 * fraction, places)} %"


def listed(values: Sequence[float], digits: int = 3) -> str:
    """Return numbers as a sentence has them: ``.92, .85 and .96``."""
    return _sentence([sig(value, digits) for value in values])


def mass(value: float) -> str:
    """Return P × weight of a node with one digit, or that it is under what rounding makes."""
    return f"under {sig(_ROUNDING, 1)}" if value < _ROUNDING else sig(value, 1)


def masses(values: Sequence[float]) -> str:
    """Return masses as a sentence has them: ``under 1e-25, 9e-4 and .7``."""
    return _sentence([mass(value) for value in values])


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation over a sample, n - 1 in the denominator."""
    centre = mean(values)
    return math.sqrt(sum((x - centre) ** 2 for x in values) / (len(values) - 1))


def _sentence(written: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(written[:-1]), written[-1])))


def _signed(written: str) -> str:
    return f"−{written[1:]}" if written.startswith("-") else written
