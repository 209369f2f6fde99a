"""A number with its interval, and what intervals over random probes rest on."""

from dataclasses import dataclass

from spectra.errors import InputError

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its interval.

    Attributes:
        lower, estimate, upper: in the units of the number.
        level: nominal coverage.
    """

    lower: float
    estimate: float
    upper: float
    level: float


def check_level(level: float) -> None:
    """Raise InputError where ``level`` is no probability between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level}")


def check_uniform(probe: str) -> None:
    """Raise InputError where probes of this distribution are not uniform on the sphere."""
    if probe != "normal":
        raise InputError(
            f"intervals need probes that are uniform on the sphere, got {probe!r}; use "
            'probe="normal"'
        )
