"""Whether a mean slope is larger with SAM: against made-up draws whose truth is known."""

import numpy as np
import pytest

from spectra import InputError
from spectra.findings.sam.slope_change import OPEN, STRENGTHENS, UNCHANGED, WEAKENS, slope_change

STEADY = np.array([1.0, 1.1, 0.9, 1.05, 0.95])


@pytest.mark.parametrize(
    ("plain", "sam", "name", "turned"),
    [
        (STEADY, 3 * STEADY, STRENGTHENS, False),
        (STEADY, -3 * STEADY, STRENGTHENS, True),
        (STEADY, 0.4 * STEADY, WEAKENS, False),
        (STEADY, -0.4 * STEADY, WEAKENS, True),
        (STEADY, 1.001 * STEADY, UNCHANGED, False),
        (-STEADY, -3 * STEADY, STRENGTHENS, False),
        (STEADY, -STEADY, OPEN, True),
        (0 * STEADY, 0 * STEADY, OPEN, False),
        # Noise that is larger stays noise.
        (np.array([1.0, -1.0, 0.1]), np.array([100.0, -90.0, 5.0]), OPEN, False),
        # The slope without SAM is noise, that with it is not.
        (np.array([0.1, -0.1, 0.05]), np.array([9.0, 10.0, 11.0]), STRENGTHENS, False),
    ],
    ids=["stronger", "stronger, turned", "weaker", "weaker, turned", "the same", "v turned",
         "of one size", "both 0", "larger noise", "from noise"],
)  # fmt: skip
def test_a_change_has_the_name_of_what_happened(plain, sam, name, turned):
    found = slope_change(plain, sam)
    assert (found.name, found.turned) == (name, turned)
    assert found.plain >= 0


def test_a_factor_is_given_only_where_the_slope_without_sam_is_told_from_zero():
    assert slope_change(STEADY, -3 * STEADY).factor.estimate == pytest.approx(3)
    assert slope_change(np.array([0.1, -0.1, 0.05]), np.array([9.0, 10.0, 11.0])).factor is None


def test_equal_draws_give_the_exact_factor_and_no_doubt():
    found = slope_change(np.full(4, 2.0), np.full(4, -1.0))
    assert (found.factor.lower, found.factor.estimate, found.factor.upper) == (0.5, 0.5, 0.5)
    assert (found.confidence, found.plain_error) == (1.0, 0.0)


def test_one_draw_says_nothing_of_how_sure_it_is():
    found = slope_change(np.array([-2.0]), np.array([6.0]))
    assert (found.name, found.plain, found.sam) == (OPEN, 2.0, -6.0)
    assert found.confidence is found.factor is None


def test_weights_are_those_of_the_mean():
    weights = np.array([1.0, 0.0, 3.0])
    found = slope_change(np.array([1.0, 50.0, 2.0]), np.array([2.0, -50.0, 4.0]), weights=weights)
    assert (found.plain, found.sam) == (pytest.approx(1.75), pytest.approx(3.5))


def test_slopes_that_are_no_pairs_are_refused():
    with pytest.raises(InputError, match="slopes must be pairs, got shapes"):
        slope_change(np.zeros(3), np.zeros(2))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_means_of_one_size_are_told_apart_as_seldom_as_the_confidence_allows(mean, sign):
    random = np.random.default_rng(0)
    named = [
        slope_change(mean + random.normal(size=8), sign * mean + 3 * random.normal(size=8)).name
        for _ in range(1000)
    ]
    # Two sides of 5 % each; of 1,000 draws that is 100 ± 9.5, and three of those.
    assert sum(name in (STRENGTHENS, WEAKENS) for name in named) <= 100 + 3 * 9.5


def test_an_interval_of_a_factor_covers_it_as_often_as_it_says():
    random = np.random.default_rng(1)
    covered = []
    for _ in range(1000):
        common = random.normal(size=10)
        plain, sam = 2 + common, -5 - 2 * common + random.normal(size=10)
        factor = slope_change(plain, sam).factor
        covered.append(factor is None or factor.lower <= 2.5 <= factor.upper)
    # 95 % of 1,000 is 950 ± 6.9; three of those below.
    assert sum(covered) >= 950 - 3 * 6.9
