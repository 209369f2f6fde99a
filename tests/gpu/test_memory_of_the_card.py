"""What fits a card's memory, and what is done where it does not."""

import pytest
from pretended_gpu.analyses import CARDS, GIB

pytestmark = pytest.mark.card


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("size", CARDS)
def test_resnet32_over_5000_images_has_a_plan_on_a_card_of(facts, size):
    plan = facts("memory plans")["plans"][str(size)]
    assert not plan["refused"], plan["refused"]
    assert plan["fits"], plan
    assert plan["kept by default"] >= size * GIB // 4


@pytest.mark.usefixtures("counted")
def test_a_product_that_does_not_fit_is_made_in_smaller_chunks(facts, rounding):
    assert facts("short memory")["differs by"] <= rounding


@pytest.mark.usefixtures("counted")
def test_a_plan_counts_no_less_than_a_product_takes(facts):
    found = facts("short memory")
    assert found["taken"] <= found["planned"] <= 5 * found["taken"], found
