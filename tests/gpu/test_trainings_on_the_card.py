"""Trainings on a GPU: the CPU's weights, and no step that waits."""

import pytest
from card_limits import ROUNDING
from pretended_gpu.trainings import CAPTURED, EXECUTIONS

from checkpoints.recipes.families import RECIPE_NAMES

pytestmark = pytest.mark.card

STEP_CEILINGS = {"ce-drw": 315, "ce-drw-sam": 630}
EPOCH_END = {"launches": 180, "waits": 9}
EVALUATION_WAITS = 1
WAITS_A_TRAINING_STEP = 1


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_a_training_step_waits_at_most_once(facts, recipe):
    found = facts(f"recipe: {recipe}")
    assert found["waits"] <= WAITS_A_TRAINING_STEP, found["waits_at"]


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_an_epoch_on_the_card_gives_the_weights_of_the_cpu(facts, rounding, recipe):
    assert facts(f"recipe: {recipe}")["differs by"] <= rounding


@pytest.mark.parametrize("name", EXECUTIONS)
def test_an_epoch_computed_in_another_way_runs_on_the_card(scenario, facts, name):
    found = facts(f"execution: {name}")
    if scenario["counted"]:  # a real card has its own TF32 and bfloat16
        assert found["differs by"] <= ROUNDING[True]


@pytest.mark.parametrize("recipe", CAPTURED)
def test_recorded_steps_give_the_weights_of_eager_ones(scenario, facts, rounding, recipe):
    found = facts(f"captured: {recipe}")
    assert found["differs by"] <= rounding
    if scenario["counted"]:
        # Of two epochs of eight steps, the first three are made eagerly.
        assert found["replays"] == 13


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("recipe", STEP_CEILINGS)
def test_launches_of_a_training_step_only_fall(facts, recipe):
    step = facts(f"ResNet-32: {recipe}")["step"]
    assert step["launches"] <= STEP_CEILINGS[recipe], step
    assert step["waits"] <= WAITS_A_TRAINING_STEP, step["waits_at"]


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("recipe", STEP_CEILINGS)
def test_the_end_of_an_epoch_launches_and_waits_no_more_than_it_did(facts, recipe):
    found = facts(f"ResNet-32: {recipe}")["end of epoch"]
    assert found["launches"] <= EPOCH_END["launches"]
    assert found["waits"] <= EPOCH_END["waits"]


@pytest.mark.parametrize("recipe", ["ce-drw", "ce-drw-sam", "ce-drw-lpf-sgd"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(scenario, facts, recipe):
    found = facts(f"resumption: {recipe}")
    if scenario["counted"]:
        assert found["same bytes"]
    assert found["differs by"] <= ROUNDING[scenario["counted"]]


def test_evaluation_on_the_card_is_that_of_the_cpu(facts, rounding):
    found = facts("evaluation")
    assert found["differs by"] <= rounding
    assert found["same accuracy"]
    assert found["waits"] <= EVALUATION_WAITS, found["waits_at"]


def test_training_on_images_in_files_gives_the_weights_of_the_cpu(facts, rounding):
    found = facts("photos")
    assert found["differs by"] <= rounding
    assert found["evaluation differs by"] <= rounding
