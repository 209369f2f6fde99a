"""Commands, the demo and the bench on a GPU."""

import pytest
from card_limits import TOLERANCE

pytestmark = pytest.mark.card

SECONDS = 90


def test_the_demo_runs_on_the_card_warm_starts_and_figures_included(facts, rounding):
    found = facts("demo")
    assert found["device"].startswith("cuda")
    assert found["starts"] == ["cold", "warm"]
    assert found["files"] > 0
    assert found["differs by"] <= max(rounding, TOLERANCE)


def test_the_bench_compares_right_products_on_the_card(facts):
    found = facts("bench")
    assert found["failures"] == []
    assert found["wrong"] == []
    assert {"spectra one", "pyhessian dataloader", "pyhessian retained"} <= set(found["rows"])


def test_the_self_test_passes_on_the_card(facts):
    assert facts("self-test")["passed"]


@pytest.mark.parametrize(
    "command", ["doctor", "analyze on auto", "analyze on cuda", "analyze on the last card"]
)
def test_commands_run_on_the_card_that_they_name(facts, command):
    found = facts("command line")[command]
    assert found["code"] == 0, found


def test_a_card_that_is_not_there_is_refused_in_one_line(facts):
    found = facts("command line")["a card that is not there"]
    assert found["code"] == 2
    assert len(found["error"].splitlines()) == 1
    assert "cuda:99" in found["error"]


@pytest.mark.usefixtures("counted")
def test_all_this_takes_less_than_ninety_seconds_of_one_core(scenario):
    slowest = sorted((p["seconds"], name) for name, p in scenario["parts"].items())[-5:]
    assert scenario["seconds"] < SECONDS, slowest
