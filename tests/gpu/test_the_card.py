"""The pretended card itself: it refuses what CUDA refuses, and counts what CUDA waits for."""

import pytest

pytestmark = pytest.mark.card


def test_the_card_refuses_mixed_devices_and_what_else_cuda_refuses(facts):
    assert [name for name, error in facts("refusals")["errors"].items() if not error] == []


@pytest.mark.usefixtures("counted")
def test_waits_are_counted_where_cuda_waits_and_nowhere_else(facts):
    found = facts("refusals")
    assert {name: n for name, n in found["waits"].items() if n < 1} == {}
    assert {name: n for name, n in found["no waits"].items() if n != 0} == {}
    assert {name: n for name, n in found["one launch"].items() if n != 1} == {}
