"""Where there is no stationary point, or a degenerate one, none is named."""

import math

import pytest
import torch
from function_landscape import FunctionLandscape

from spectra import find_stationary_point, make_generator


def found(function, start):
    landscape = FunctionLandscape(function, torch.tensor(start, dtype=torch.float64))
    return find_stationary_point(landscape)


def between(low, high, generator):
    """Draw a number whose logarithm is uniform."""
    part = float(torch.rand((), generator=generator, dtype=torch.float64))
    return math.exp(math.log(low) + part * math.log(high / low))


@pytest.mark.parametrize("third", [-1.0, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_a_fold_past_its_points_is_none_beside_a_stiff_gradient(seed, third):
    # a (x³/3 + c x): the slope a (x² + c) is positive everywhere, and far under 1e-6 of ‖g‖.
    generator = make_generator(seed, "fold")
    a, c = between(1e-2, 1e2, generator), between(1e-9, 1e-4, generator)
    slope, start = between(1, 30, generator), between(3e-5, 3e-2, generator)

    def past_a_fold(w):
        fold = a * (w[0] ** 3 / 3 + c * w[0])
        return fold + 50 * w[1] ** 2 + slope * w[1] + 0.5 * third * w[2] ** 2

    assert not found(past_a_fold, [start, 0.0, 0.0]).found


@pytest.mark.parametrize("third", [-1.0, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_an_exponential_tail_is_no_point_beside_a_stiff_gradient(seed, third):
    generator = make_generator(seed, "tail")
    height, width = between(1e-10, 1e-6, generator), between(1e-4, 1e-2, generator)
    slope = between(1, 30, generator)

    def tail(w):
        down = height * torch.exp(-w[0] / width)
        return down + 50 * w[1] ** 2 + slope * w[1] + 0.5 * third * w[2] ** 2

    assert not found(tail, [0.0, 0.0, 0.0]).found


def degenerate_saddle(w):
    return 0.5 * w[0] ** 2 + w[0] * w[1] ** 2  # f(-y², y) = -½ y⁴


def flat_ring(w):
    return ((w**2).sum() - 1) ** 2


@pytest.mark.parametrize(
    ("function", "start"),
    [(degenerate_saddle, [0.1, 0.0]), (degenerate_saddle, [-0.1, 0.0]), (flat_ring, [1.1, 0.1])],
    ids=["degenerate saddle", "from behind", "flat ring"],
)
def test_a_point_that_is_flat_in_one_direction_is_left_undecided(function, start):
    assert found(function, start).name == "undecided"


def test_a_saddle_just_outside_of_the_radius_has_a_reason_in_numbers():
    reason = found(lambda w: 50 * w[0] ** 2 - 0.5 * w[1] ** 2 + 0.501 * w[1], [0.0, 0.0]).reason
    assert "nan" not in reason
