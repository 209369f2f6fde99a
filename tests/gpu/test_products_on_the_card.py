"""Products, gradients and operators on a GPU: right, and launched no more than before."""

import pytest
from card_limits import WAITS_A_LANCZOS_STEP
from pretended_gpu.products import STEPS

pytestmark = pytest.mark.card

# Kernel launches of ResNet-32 on one chunk, and of its training step. They may only fall.
CEILINGS = {
    "kept product": 375,
    "first product": 765,
    "product of four vectors": 1480,
    "gradient": 275,
    "scores": 150,
    "Lanczos steps": 400 * STEPS,
}
BUILD = {"launches": 3600, "waits": 131}
REPLAYED_PRODUCT = 10


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("what", CEILINGS)
def test_launches_of_resnet32_only_fall(facts, what):
    found = facts("launches")[what]
    assert found["launches"] <= CEILINGS[what], found


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("what", [name for name in CEILINGS if name != "Lanczos steps"])
def test_no_product_or_gradient_waits_for_the_card(facts, what):
    found = facts("launches")[what]
    assert found["waits"] == 0, found["waits_at"]


@pytest.mark.usefixtures("counted")
def test_lanczos_waits_once_in_five_steps(facts):
    found = facts("launches")["Lanczos steps"]
    assert found["waits"] <= WAITS_A_LANCZOS_STEP * STEPS, found["waits_at"]


def test_products_and_gradients_of_resnet32_are_those_of_the_cpu(facts, rounding):
    found = facts("launches")
    assert found["products"] == "tangent"
    assert found["product differs by"] <= rounding
    assert found["gradient differs by"] <= rounding


@pytest.mark.usefixtures("counted")
def test_building_an_operator_launches_and_waits_no_more_than_it_did(facts):
    found = facts("operator")["build"]
    assert found["launches"] <= BUILD["launches"], found
    assert found["waits"] <= BUILD["waits"], found["waits_at"]


@pytest.mark.parametrize("kept", ["kept", "not kept"])
def test_a_product_of_several_chunks_is_right_on_its_own_card(facts, rounding, kept):
    found = facts("several chunks")[kept]
    assert found["differs by"] <= rounding
    assert found["waits"] == 0, found["waits_at"]
    assert found["launches on the other card"] == 0


@pytest.mark.parametrize(("kind", "waits"), [("frozen:2", 0), ("fresh", 1)])
def test_views_are_cut_on_the_card_and_a_fresh_draw_is_all_that_is_uploaded(
    facts, rounding, kind, waits
):
    found = facts("protocols")[kind]
    assert found["differs by"] <= rounding
    assert found["waits"] <= waits, found["waits_at"]


def test_products_are_recorded_by_default_and_a_replay_gives_the_same_bytes(facts):
    found = facts("graphs")
    assert [one["same bytes"] for one in found["products"]] == [True] * 3
    assert found["recorded as"] == "tangent"


@pytest.mark.usefixtures("counted")
def test_a_pass_of_sixteen_small_losses_launches_hardly_more_than_one_product(facts):
    found = facts("blocks")
    assert found["made"]["launches"] <= 1.5 * found["alone"]["launches"], found
    assert found["made"]["waits"] == 0, found["made"]["waits_at"]
    assert found["replayed"]["launches"] <= REPLAYED_PRODUCT


@pytest.mark.parametrize("how", ["made", "replayed"])
def test_a_shared_pass_gives_each_loss_the_product_of_the_cpu(facts, rounding, how):
    found = facts("blocks")[how]
    assert not found["refused"]
    assert found["differs by"] <= rounding


@pytest.mark.usefixtures("counted")
def test_nothing_is_recorded_without_graphs_or_a_tangent_pass(facts):
    assert facts("graphs")["replayed of others"] == 0


def test_a_recorded_product_is_the_product_and_is_replayed_without_waiting(
    scenario, facts, rounding
):
    found = facts("graphs")
    assert [one["differs by"] for one in found["products"] if one["differs by"] > rounding] == []
    if scenario["counted"]:
        assert found["replayed"] == 1
        assert found["products"][-1]["launches"] <= REPLAYED_PRODUCT, found
        assert found["products"][-1]["waits"] == 0, found


def test_tf32_set_by_the_newer_interface_is_kept_out_and_put_back(facts, rounding):
    found = facts("tf32")
    assert found["differs by"] <= rounding
    assert found["in a step"] == ["ieee", "ieee"]
    assert found["after"] == ["tf32", "tf32"]


@pytest.mark.parametrize(
    "case",
    ["both on the card", "network on the card", "images on the card", "card asked for"],
)
def test_a_class_hessian_is_on_the_card_where_network_or_images_are(facts, rounding, case):
    found = facts("places")
    one = found["cases"][case]
    assert one["device"] == one["product on"] == found["card"]
    assert one["differs by"] <= rounding


def test_a_device_that_is_asked_for_is_taken_and_the_network_stays(facts, rounding):
    found = facts("places")
    one = found["cases"]["processor asked for"]
    assert one["device"] == one["product on"] == "cpu"
    assert one["network stays on"] == found["card"]
    assert one["differs by"] <= rounding
