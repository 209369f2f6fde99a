"""All controls of a half: the development half was there to tune by, the held-out half was not."""

from collections.abc import Iterator

from control import Control
from control_points import POINTS
from control_quadratics import quadratics, three_of_three
from control_slopes import SLOPES

SMALL = (*POINTS, *SLOPES, quadratics, three_of_three)


def small_controls(half: str) -> Iterator[Control]:
    """Yield the controls of about 100 parameters; each depends on its name alone.

    Args:
        half: ``development``, or ``held out``: the same families from other seeds.
    """
    for family in SMALL:
        yield from family(half)
