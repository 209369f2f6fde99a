"""The toolkit on a GPU: a pretended one, or the one that is here.

The scenario (``pretended_gpu/``) runs once, in a process of its own; each test is one claim about
what it found. A pretended card refuses what CUDA refuses and counts launches and synchronisations;
on a machine with a real one the same scenario runs there, and what is counted is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pretended_gpu.analyses import CARDS, GIB, REQUESTS
from pretended_gpu.build import compile_card
from pretended_gpu.products import STEPS
from pretended_gpu.trainings import CAPTURED, EXECUTIONS

from checkpoints.recipes.recipe import RECIPE_NAMES

# Kernel launches of ResNet-32 on one chunk, and of its training step. They may only fall.
CEILINGS = {
    "kept product": 375,
    "first product": 765,
    "product of four vectors": 1480,
    "gradient": 275,
    "scores": 150,
    "Lanczos steps": 400 * STEPS,
}
STEP_CEILINGS = {"ce-drw": 315, "ce-drw-sam": 630}
EPOCH_END = {"launches": 180, "waits": 9}
BUILD = {"launches": 4300, "waits": 94}
REPLAYED_PRODUCT = 10
EVALUATION_WAITS = 1
WAITS_A_LANCZOS_STEP = 0.2
WAITS_A_TRAINING_STEP = 1
# The pretended card runs the CPU's kernels, on chunks of another size. A real one has its own, and
# after a few steps of training their rounding shows.
ROUNDING = {True: 1e-5, False: 5e-2}
# Where runs stop by their tolerance, .03 of a residual: the error of a value is quadratic in it,
# and the card, which looks every fifth step, stops later.
TOLERANCE = 5e-3
SECONDS = 90
TIMEOUT = 600  # of a machine that does other things as well

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scenario(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the scenario found; see ``pretended_gpu/scenario.py``."""
    output = tmp_path_factory.mktemp("pretended-gpu") / "found.json"
    if torch.cuda.is_available():
        where = ["--real"]
    elif torch.version.cuda is not None or torch.version.hip is not None:
        pytest.skip("this torch is built for a GPU, of which there is none: nothing to pretend on")
    elif shutil.which("g++") is None:
        pytest.skip("g++ is not installed, which compiles the pretended GPU")
    else:
        cache = getattr(pytestconfig, "cache", None)
        folder = cache.mkdir("pretended-gpu") if cache else output.parent
        where = ["--library", str(compile_card(folder))]
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, "-m", "pretended_gpu.scenario", *where, "-o", str(output)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert output.exists(), run.stderr[-3000:]
    return json.loads(output.read_text())


@pytest.fixture
def facts(scenario):
    """Return what a part found, once it is clear that it ran to its end."""

    def of(part: str) -> dict:
        found = scenario["parts"][part]
        assert not found["error"], found["error"]
        return found["facts"]

    return of


@pytest.fixture
def rounding(scenario) -> float:
    return ROUNDING[scenario["counted"]]


@pytest.fixture
def counted(scenario) -> None:
    if not scenario["counted"]:
        pytest.skip("a real GPU runs the scenario, where nothing is counted")


def test_the_card_refuses_mixed_devices_and_what_else_cuda_refuses(facts):
    assert [name for name, error in facts("refusals")["errors"].items() if not error] == []


@pytest.mark.usefixtures("counted")
def test_waits_are_counted_where_cuda_waits_and_nowhere_else(facts):
    found = facts("refusals")
    assert {name: n for name, n in found["waits"].items() if n < 1} == {}
    assert {name: n for name, n in found["no waits"].items() if n != 0} == {}
    assert {name: n for name, n in found["one launch"].items() if n != 1} == {}


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
    for both in ("verdict", "bootstrap", "bounded below"):
        here, there = found[both]
        assert here == there, both


@pytest.mark.parametrize(
    "part",
    [*[f"analysis: {name}" for name in REQUESTS], "theorem", "bench", "resumption: ce-drw-sam"],
)
def test_nothing_lands_on_a_card_that_was_not_asked_for(facts, part):
    assert facts(part)["launches on the other card"] == 0


def test_a_run_on_the_card_is_bounded_from_below(facts):
    assert facts("analysis: bound from below")["bounded below"] == [True, True]


def test_the_theorem_is_measured_on_the_card(facts, rounding):
    assert facts("theorem")["differs by"] <= max(rounding, TOLERANCE)


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
