"""What is said of a control is so: by dense Hessians and an independent search in float64."""

import pytest
import torch
from all_controls import small_controls
from control import DEVELOPMENT, HELD_OUT, SEARCH_RADIUS, Control
from control_points import cancelled, near_kinks, near_lines, near_saddles
from control_quadratics import quadratics, three_of_three
from control_slopes import classes_of_trainings, tails
from known_functions import NetLoss
from root_search import root_near, roots_within
from stationary_bases import STATIONARY

from spectra import make_generator


def some(family, count: int) -> list[Control]:
    return [control for control, _ in zip(family(DEVELOPMENT), range(count), strict=False)]


@pytest.mark.parametrize(
    ("family", "count"), [(near_saddles, 2), (near_lines, 2), (quadratics, 11), (three_of_three, 3)]
)
def test_the_point_that_a_control_names_is_where_it_says(family, count):
    for control in some(family, count):
        found = roots_within(
            control.function, control.start, SEARCH_RADIUS, make_generator(0, control.name)
        )
        if control.truth == "none":
            assert not found, control.name
            continue
        assert control.truth in {base.truth for base in found}, control.name
        nearest = min(float((base.point - control.start).norm()) for base in found)
        # Of a line of stationary points, another may be nearer than the one that was left.
        assert nearest <= control.distance * 1.001


def test_an_independent_search_names_a_kinked_point_from_beside_it():
    control = next(near_kinks(DEVELOPMENT))
    found = root_near(control.function, control.start)
    assert found is not None
    assert found.truth == control.truth


def test_the_linear_term_cancels_the_gradient_and_leaves_the_curvature_asked_for():
    base = cancelled("a test", (6, 8, 3), "relu", 0.002)
    assert base is not None
    assert float(base.function.gradient(base.point).norm()) <= STATIONARY
    # λmin + decay loses digits that are some ulp of λmax.
    assert base.lowest_share == pytest.approx(0.002, rel=1e-9)


def test_the_loss_of_one_class_slopes_along_its_bias_by_what_is_missing_from_its_probability():
    for control in some(classes_of_trainings, 4):
        loss = control.function
        assert isinstance(loss, NetLoss)
        own = int(loss.labels[0])
        slope = loss.gradient(control.start)[loss.size - 3 + own]
        missing = 1 - loss.logits(control.start).softmax(1)[:, own].mean()
        torch.testing.assert_close(slope, -missing, rtol=1e-12, atol=1e-14)
        assert float(missing) > 0


@pytest.mark.slow
@pytest.mark.parametrize("half", [DEVELOPMENT, HELD_OUT])
def test_no_start_beside_a_tail_leads_to_a_stationary_point(half):
    for control in tails(half):
        if not control.kinked:
            generator = make_generator(0, "starts", control.name)
            found = roots_within(control.function, control.start, SEARCH_RADIUS, generator)
            assert found == [], control.name


@pytest.mark.slow
def test_there_are_enough_controls_and_no_two_have_the_same_name():
    controls = list(small_controls(DEVELOPMENT))
    assert len(controls) >= 200
    assert len({control.name for control in controls}) == len(controls)
