"""Memory stays where it is over five hundred analyses, two hundred figures and fifty trainings."""

import itertools

import pytest
from held import left_by, resident_bytes
from repeated import ANALYSES, figures_in, training_in

# What the first runs take is what caches of torch and matplotlib fill up with.
FIRST, TOLERANCE = 40, 0.02


def assert_flat(actions, times: int) -> None:
    """Fail where memory, threads, files or objects grow over ``times`` runs, by turns."""
    turns = itertools.cycle(actions)

    def action() -> None:
        next(turns)()

    for _ in range(FIRST):
        action()
    before = resident_bytes()
    left = left_by(action, times=times, first=0)
    after = resident_bytes()
    assert (left.threads, left.handles, left.sources, left.modules) == (0, 0, 0, 0), left
    assert left.objects < times // 10, left
    if before is not None:
        assert abs(after / before - 1) <= TOLERANCE, (before, after)


@pytest.mark.slow
def test_five_hundred_analyses_leave_memory_as_it_was():
    assert_flat(ANALYSES.values(), 500)


@pytest.mark.slow
def test_two_hundred_figures_leave_memory_as_it_was(tmp_path):
    assert_flat(figures_in(tmp_path).values(), 200)


@pytest.mark.slow
def test_fifty_trainings_leave_memory_as_it_was(tmp_path):
    assert_flat([training_in(tmp_path)], 50)
