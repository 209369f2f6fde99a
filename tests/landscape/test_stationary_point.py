"""What a StationaryPoint says, and what a multiple of the loss does to it."""

import pytest

from spectra import InputError, StationaryPoint
from spectra.landscape.stationary_point import STATIONARY_NAMES

NUMBERS = {"search_radius": 0.5, "loss_before": 2.0, "grad_norm_before": 0.3}


def test_a_saddle_says_how_far_it_is():
    found = StationaryPoint("saddle", "r", **NUMBERS, distance=0.02, relative_distance=0.013)
    assert "0.02 away (1.3 % of the length of a filter)" in found.sentence
    assert found.found


def test_what_is_further_than_a_filter_is_long_is_so_many_times_its_length():
    found = StationaryPoint("minimum", "r", **NUMBERS, distance=9.0, relative_distance=4.5)
    assert "9 away (4.5 times the length of a filter)" in found.sentence


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (None, "Newton steps go on lowering the loss, and"),
        (1.02, "each Newton step divides the loss by about e, and"),
        (0.8, "by about e"),
        (2.0, "Newton steps go on lowering the loss, ν = gᵀH⁻¹g / L is 2, and"),
        (0.76, "is 0.76, and"),
    ],
)
def test_only_an_exponential_tail_is_divided_by_e(share, said):
    assert said in StationaryPoint("slope, tail", "r", **NUMBERS, newton_share=share).sentence


def test_float64_is_no_advice_to_a_search_in_float64():
    single = StationaryPoint("undecided", "r", **NUMBERS)
    double = StationaryPoint("undecided", "r", **NUMBERS, in_float64=True)
    assert "--dtype float64" in single.next_step
    assert "float64" not in double.next_step


@pytest.mark.parametrize("name", STATIONARY_NAMES)
def test_every_name_has_a_sentence_and_a_next_step(name):
    found = StationaryPoint(name, "no step lowered the gradient", **NUMBERS)
    assert found.sentence.endswith(".")
    assert found.next_step.endswith(".")


def test_a_name_of_another_kind_is_refused():
    with pytest.raises(InputError, match="one of saddle, minimum, slope"):
        StationaryPoint("descent", "r", **NUMBERS)


def test_a_multiple_of_the_loss_keeps_name_and_distances():
    found = StationaryPoint("minimum", "r", **NUMBERS, distance=0.1, lambda_min=0.01, loss_at=1.5)
    tenth = found.scaled(0.1)
    assert (tenth.name, tenth.distance, tenth.search_radius) == ("minimum", 0.1, 0.5)
    assert (tenth.loss_before, tenth.loss_at) == pytest.approx((0.2, 0.15), rel=1e-12)
    assert (tenth.lambda_min, tenth.lambda_max) == (pytest.approx(0.001), None)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_a_loss_is_multiplied_by_a_positive_number_only(factor):
    with pytest.raises(InputError, match="positive"):
        StationaryPoint("slope", "r", **NUMBERS).scaled(factor)
