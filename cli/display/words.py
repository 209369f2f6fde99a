"""Numbers and plain values as a person reads them."""

import re
from collections.abc import Mapping
from typing import Any

_EXPONENT = re.compile(r"e\+?(-?)0*")


def number(value: float | None, digits: int = 3) -> str:
    """Return significant digits, or a dash; an exponent has no zeros before it: ``2.3e-5``."""
    return "-" if value is None else _EXPONENT.sub(r"e\1", f"{value:.{digits}g}")


def whole_percent(value: float | None) -> str:
    """Return ``97`` for .97, ``<1`` for what is more than nothing and less than half of one."""
    if value is None:
        return "-"
    return "<1" if 0 < value < 0.005 else f"{100 * max(value, 0.0):.0f}"


def with_residual(value: float, residual: float | None) -> str:
    """Return ``value (residual)``, or the value alone.

    A residual is no error bar, whose sign ± would say that it is.
    """
    return number(value) if residual is None else f"{number(value)} ({number(residual, 1)})"


def with_error(value: float, error: float) -> str:
    """Return ``value ± error``, or the value alone where it is exact."""
    return f"{number(value)} ± {number(error, 1)}" if error else number(value)


def duration(seconds: float) -> str:
    """Return ``40 s``, ``3 min``, ``2 h 10 min``: whole figures, which is what an estimate has."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, noun: str) -> str:
    """Return ``1 probe``, ``2 probes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def plain_text(value: Any) -> str:
    """Return nested plain values as text; what is empty is left out."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key} ({plain_text(inner)})"
            if isinstance(inner, Mapping)
            else f"{key} {plain_text(inner)}"
            for key, inner in value.items()
            if inner not in (None, {}, [], ())
        )
    if isinstance(value, list | tuple):
        return " ".join(map(plain_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(value: float | None) -> str:
    """Return ``97.5 %``, or a dash."""
    return "-" if value is None else f"{100 * value:.1f} %"
