"""What a Bending says, and what a multiple of the loss does to it."""

from dataclasses import replace

import pytest

from spectra import Bending, InputError

CALM = Bending(
    radius=0.1,
    loss=0.02,
    secants=((0.001, 1.0), (0.1, 0.9)),
    predicted_with=0.6,
    predicted_without=0.6,
    lowered_with=0.63,
    lowered_without=0.63,
    share=0.001,
    steps=7,
)


def test_a_share_of_nothing_is_the_gradient_alone():
    expected = "Within 0.1 the gradient can lower this loss by at least 63 %; bending adds nothing."
    assert CALM.sentence == expected


def test_nearly_all_of_a_loss_is_over_99_percent():
    said = replace(CALM, lowered_with=0.998, lowered_without=0.998).sentence
    assert "can lower this loss by over 99 %; bending adds nothing." in said


def test_hardly_anything_is_not_said_to_be_at_least_less_than_something():
    said = replace(CALM, lowered_with=0.003, lowered_without=0.003).sentence
    assert "can lower this loss by less than 1 %; bending adds nothing." in said


def test_where_there_is_nothing_to_lower_no_product_would_settle_it():
    found = replace(
        CALM, secants=(), predicted_with=6e-15, predicted_without=6e-15,
        lowered_with=0.0, lowered_without=0.0, share=0.0,
    )  # fmt: skip
    assert found.believed
    assert found.sentence == "Within 0.1 no step that was tried lowers this loss."
    assert found.next_step == "Nothing within this radius; a larger --radius looks further."


def test_half_is_said_as_half():
    assert "half of it comes from bending" in replace(CALM, share=0.52).sentence


@pytest.mark.parametrize(("share", "said"), [(0.006, "1 %"), (0.994, "99 %"), (0.3, "30 %")])
def test_shares_are_rounded_to_percents(share, said):
    assert f"{said} of that comes from bending" in replace(CALM, share=share).sentence


@pytest.mark.parametrize(
    ("secants", "said"),
    [
        (((0.001, 1.0), (0.1, 0.2)), "does not last: at 0.1 it is 20 % of that."),
        (((0.001, 9.0), (0.1, 0.2)), "is a kink: at 0.1 it is 20 % of that."),
        (((0.001, 9.0), (0.1, -0.2)), "is a kink: by 0.1 the loss bends up."),
        (((0.001, 1.0), (0.1, 3.0)), "does not last: at 0.1 it is 3 times that."),
    ],
)
def test_curvature_that_is_another_within_the_radius_is_said(secants, said):
    found = replace(CALM, secants=secants)
    assert found.kinked
    assert found.sentence.endswith(said)


def test_a_kink_that_is_over_before_the_radius_is_none():
    found = replace(CALM, secants=((0.001, -8.0), (0.03, 1.03), (0.1, 1.08)))
    assert not found.kinked
    assert found.secant_over_pointwise == 1.08


def test_a_model_that_the_true_loss_contradicts_is_said():
    found = replace(CALM, predicted_with=1.4)
    assert not found.believed
    assert "63 %" in found.sentence
    assert (
        "would lose more than all of it; 57 % of that comes from bending; the loss"
        in found.sentence
    )


def test_a_loss_of_zero_has_a_sentence():
    none = dict.fromkeys(
        ["predicted_with", "predicted_without", "lowered_with", "lowered_without"], None
    )
    at_zero = replace(CALM, loss=0.0, share=1.0, **none)
    assert "which is 0 here; all of it comes from bending" in at_zero.sentence
    assert "bending lowers it no further" in replace(at_zero, share=0.0).sentence


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"converged": False},
        {"secants": ((0.001, 1.0), (0.1, 0.2))},
        {"secants": ((0.001, 9.0), (0.1, 0.2))},
        {"secants": ()},
        {"share": 0.9},
        {"lowered_with": -0.1, "lowered_without": -0.1},
    ],
)
def test_everything_has_a_sentence_and_a_next_step(change):
    found = replace(CALM, **change)
    assert found.sentence.endswith(".")
    assert found.next_step.endswith(".")


def test_a_multiple_of_the_loss_keeps_what_is_relative_to_it():
    assert CALM.scaled(3.0) == replace(CALM, loss=0.06)


def test_a_share_of_more_than_all_is_refused():
    with pytest.raises(InputError, match="share must lie between 0 and 1"):
        replace(CALM, share=1.5)
