"""Ticks of log axes with plain numbers: at 8 points the exponent of a power cannot be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from figures.style.comparable import number

if TYPE_CHECKING:
    from matplotlib.axis import Axis


def set_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Label the powers of ten between ``low`` and ``high``, and 2 and 5 too if they are few."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [10.0**k for k in powers if low <= 1.0001 * 10.0**k and 10.0**k <= 1.0001 * high]
    if len(inside) < 3:
        fine = [m * 10.0**k for k in powers for m in (1, 2, 5)]
        inside = [v for v in fine if low <= 1.0001 * v and v <= 1.0001 * high]
    axis.set_major_locator(FixedLocator(inside))
    axis.set_major_formatter(FuncFormatter(lambda v, _: plain_number(v)))
    axis.set_minor_formatter(NullFormatter())


def plain_number(value: float) -> str:
    """Return ``0.01``, ``5,000``, and ``1e−5`` beyond what is read at a glance."""
    if value != 0 and not 0.0009 < abs(value) < 1e6:
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        return f"{value / 10.0**exponent:.3g}e{exponent}".replace("-", "−")
    return f"{value:,.0f}".replace("-", "−") if abs(value) >= 1000 else number(value)
