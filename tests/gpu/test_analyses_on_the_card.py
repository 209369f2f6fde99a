"""Solvers and analyses on a GPU: what the CPU finds, where they were asked for."""

import pytest
from card_limits import TOLERANCE, WAITS_A_LANCZOS_STEP
from pretended_gpu.analyses import REQUESTS

pytestmark = pytest.mark.card


@pytest.mark.parametrize(
    "what",
    [
        *("cold", "warm, vectors on the card", "warm, vectors of the CPU"),
        *("extreme_eigenpairs", "slq", "scipy"),
    ],
)
def test_solvers_find_on_the_card_what_they_find_on_the_cpu(facts, rounding, what):
    allowed = max(rounding, TOLERANCE) if what.startswith(("cold", "warm")) else rounding
    assert facts("extremes")[what]["differs by"] <= allowed


@pytest.mark.usefixtures("counted")
def test_probes_of_a_density_wait_once_in_five_steps_and_for_their_starts(facts):
    found = facts("extremes")["slq"]
    steps = found["num_probes"] * found["num_steps"]
    allowed = WAITS_A_LANCZOS_STEP * steps + found["num_probes"]
    assert found["waits"] <= allowed, found["waits_at"]


@pytest.mark.parametrize("request_name", REQUESTS)
def test_an_analysis_on_the_second_card_is_that_of_the_cpu(facts, rounding, request_name):
    found = facts(f"analysis: {request_name}")
    solver = REQUESTS[request_name].solver
    stops_by_itself = solver.on_active_images or solver.certify_below
    assert found["differs by"] <= (max(rounding, TOLERANCE) if stops_by_itself else rounding)
    for both in ("verdict", "stationary", "bootstrap", "bounded below"):
        here, there = found[both]
        assert here == there, both


@pytest.mark.parametrize(
    "part",
    [
        *[f"analysis: {name}" for name in REQUESTS],
        "theorem",
        "images",
        "bench",
        "resumption: ce-drw-sam",
    ],
)
def test_nothing_lands_on_a_card_that_was_not_asked_for(facts, part):
    assert facts(part)["launches on the other card"] == 0


def test_a_run_on_the_card_is_bounded_from_below(facts):
    assert facts("analysis: bound from below")["bounded below"] == [True, True]


def test_the_theorem_is_measured_on_the_card(facts, rounding):
    assert facts("theorem")["differs by"] <= max(rounding, TOLERANCE)


def test_images_have_the_shares_on_the_card_that_they_have_on_the_cpu(facts, rounding):
    assert facts("images")["differs by"] <= max(rounding, TOLERANCE)


def test_a_training_on_the_card_goes_on_as_if_it_had_not_been_recorded(facts):
    assert facts("recording")["the same training"]


def test_a_model_on_the_card_is_recorded_there_over_images_of_the_cpu(facts, rounding):
    found = facts("recording")
    assert found["device"] == "cuda"
    assert found["epochs"] == [2, 4]
    assert found["differs by"] <= rounding


def test_small_classes_in_a_block_are_those_of_one_after_the_other(facts, rounding):
    found = facts("analyses in blocks")
    assert found["block"]["products"] == ["tangent, block of 4 losses"] * 4
    assert found["in turn"]["products"] == ["tangent"] * 4
    assert found["differs by"] <= rounding


@pytest.mark.usefixtures("counted")
def test_small_classes_in_a_block_launch_less(facts):
    found = facts("analyses in blocks")
    assert 2 * found["block"]["launches"] <= found["in turn"]["launches"]
