"""All controls of a half: the development half was there to tune by, the held-out half was not."""

from collections.abc import Iterator
from itertools import islice

from control import DEVELOPMENT, Control
from control_large import large_controls
from control_points import POINTS, near_kinks, near_minima, near_saddles
from control_quadratics import QUADRATICS
from control_slopes import SLOPES, classes_of_trainings, faint_biases, tails

SMALL = (*POINTS, *SLOPES, *QUADRATICS)


def small_controls(half: str) -> Iterator[Control]:
    """Yield the controls of about 100 parameters; each depends on its name alone.

    Args:
        half: ``development``, or ``held out``: the same families from other seeds.
    """
    for family in SMALL:
        yield from family(half)


def all_controls(half: str) -> Iterator[Control]:
    """Yield the small ones, and those of 3,000 parameters."""
    yield from small_controls(half)
    yield from large_controls(half)


def sample() -> Iterator[Control]:
    """Yield some sixty of the development half that are made in a few seconds."""
    for family, count in (
        (near_saddles, 7),
        (near_minima, 6),
        (near_kinks, 4),
        (classes_of_trainings, 2),
        (faint_biases, 2),
        (tails, 4),
    ):
        yield from islice(family(DEVELOPMENT), count)
    for family in QUADRATICS:
        yield from family(DEVELOPMENT)
