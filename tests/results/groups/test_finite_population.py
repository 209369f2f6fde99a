"""Intervals from a sample of classes, against populations that are known."""

import numpy as np
import pytest

from spectra import InputError
from spectra.results.groups.finite_population import (
    mean_interval,
    median_interval,
    share_interval,
)

DRAWS = 300
# Three standard errors of a share of 300 draws that is .95: what chance alone may take off.
BY_CHANCE = 0.038


def coverage(interval, population, size, true):
    """Return how often the interval of a random sample holds what is true of the population."""
    random = np.random.default_rng(4)
    found = (interval(random.choice(population, size, replace=False)) for _ in range(DRAWS))
    return np.mean([one is not None and one.lower <= true <= one.upper for one in found])


@pytest.fixture(scope="module")
def skewed():
    """λmin of 165 classes: all negative, some ten times as far out as most."""
    return -np.exp(np.random.default_rng(2).normal(0, 0.8, 165))


@pytest.mark.parametrize("size", [20])
def test_the_interval_of_a_mean_covers_nine_times_in_ten_where_values_are_skewed(skewed, size):
    covered = coverage(lambda x: mean_interval(x, 165), skewed, size, skewed.mean())
    assert covered > 0.93 - BY_CHANCE  # over 4,000 draws it is .93


@pytest.mark.parametrize("size", [12, 60])
def test_the_interval_of_a_median_covers_as_often_as_it_says(skewed, size):
    covered = coverage(lambda x: median_interval(x, 165), skewed, size, np.median(skewed))
    assert covered > 0.95 - BY_CHANCE


@pytest.mark.parametrize("with_it", [3, 80])
def test_the_interval_of_a_share_covers_as_often_as_it_says(with_it):
    members = np.arange(165) < with_it
    covered = coverage(lambda x: share_interval(int(x.sum()), 20, 165), members, 20, with_it / 165)
    assert covered > 0.95 - BY_CHANCE


def test_a_sample_of_all_classes_leaves_nothing_to_estimate(skewed):
    for interval in (
        mean_interval(skewed, 165), median_interval(skewed, 165), share_interval(9, 165, 165),
    ):  # fmt: skip
        assert interval.lower == interval.estimate == interval.upper


def test_the_correction_for_a_finite_population_narrows_the_interval_by_its_root(skewed):
    sample = skewed[:80]
    of_many, of_these = mean_interval(sample, 10**9), mean_interval(sample, 100)
    shrunk = (of_these.upper - of_these.lower) / (of_many.upper - of_many.lower)
    assert shrunk == pytest.approx(np.sqrt(1 - 80 / 100))


def test_a_share_of_none_or_all_of_a_sample_is_no_point():
    none, every = share_interval(0, 20, 390), share_interval(20, 20, 390)
    assert (none.lower, every.upper) == (0, 1)
    assert 0.1 < none.upper < 0.2
    assert every.lower == pytest.approx(1 - none.upper)


def test_nothing_is_said_from_too_few_classes():
    assert mean_interval([-1.0, -2.0, -3.0], 50) is None
    assert median_interval([0.1, 0.2, 0.3, 0.4], 50) is None


def test_equal_samples_have_equal_intervals(skewed):
    assert mean_interval(skewed[:20], 165) == mean_interval(skewed[:20], 165)


def test_numbers_that_do_not_fit_each_other_are_refused():
    with pytest.raises(InputError, match="1 to 2 values of a population of 2, got 3"):
        mean_interval([1.0, 2.0, 3.0], 2)
    with pytest.raises(InputError, match="sample <= population"):
        share_interval(3, 2, 10)
