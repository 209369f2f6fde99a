"""``memory`` is what the process may hold in all, checks and float64 judgement included."""

import gc
import subprocess
import sys
import weakref

import pytest
import torch
from oracles import hessian_of
from torch import nn

from spectra import HessianOperator, InputError, SolverSettings, analyze_classes, analyze_loss
from spectra.engines.forecasts.needed import (
    BENDING,
    BOOTSTRAP,
    SEARCH,
    judging_bytes,
    needed_bytes,
)
from spectra.engines.memory import (
    check_room_to_build,
    forecast,
    room_for,
    within_limit,
)
from spectra.engines.own import LEAST_ACTIVE

MIB = 2**20
FOUR = 4 * 2**30
# A network of 26 million parameters: what it takes at the most beside what Python and torch did.
HELD = """
import resource, torch
torch.set_num_threads(1)
from spectra import analyze_classes
draw = torch.Generator().manual_seed(0)
images, labels = torch.randn(20, 3072, generator=draw), torch.arange(20) % 2
net = torch.nn.Sequential(
    torch.nn.Linear(3072, 3768), torch.nn.ReLU(), torch.nn.Linear(3768, 3768), torch.nn.ReLU(),
    torch.nn.Linear(3768, 10),
)
analyze_classes(net, (images, labels), [0], num_probes=0, memory=MEMORY)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


# What is forecast for the same network, and what it then took at the most.
FORECAST = """
import torch
torch.set_num_threads(1)
from spectra import HessianOperator, SolverSettings, analyze_loss
from spectra.engines.forecasts.needed import usual_peak
from spectra.engines.memory import planned_memory, within_limit
draw = torch.Generator().manual_seed(0)
images, labels = torch.randn(20, 3072, generator=draw), torch.arange(20) % 2
net = torch.nn.Sequential(
    torch.nn.Linear(3072, 3768), torch.nn.ReLU(), torch.nn.Linear(3768, 3768), torch.nn.ReLU(),
    torch.nn.Linear(3768, 10),
)
settings = SolverSettings(OPTIONS)
op = HessianOperator(net, images, labels, memory_budget=0, parameters=PARAMETERS)
print(usual_peak(op, settings, planned_memory(op, settings, limit=MEMORY)))
op, settings = within_limit(op, settings, limit=MEMORY)
analyze_loss(op, label="x", classes=(0, 1), settings=settings)
print([1024 * int(x.split()[1]) for x in open("/proc/self/status") if x.startswith("VmHWM")][0])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("memory", "options", "parameters"),
    [
        (FOUR, "num_probes=1, num_steps=10, max_steps=20", None),
        (FOUR, "num_probes=0, max_steps=300", None),
        (
            3 * FOUR // 4,
            "num_probes=1, num_steps=30, max_steps=40, basis='auto', bending=False",
            None,
        ),
        (FOUR, "num_probes=1, num_steps=10, max_steps=20", "4"),
    ],
    ids=["density", "extremes", "half", "subset"],
)
def test_what_is_forecast_is_within_a_fifth_of_what_was_taken(memory, options, parameters):
    text = FORECAST.replace("MEMORY", str(memory)).replace("OPTIONS", options)
    text = text.replace("PARAMETERS", repr(parameters))
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    said, taken = map(int, run.stdout.split()[-2:])
    assert 0.8 * taken <= said <= 1.2 * taken


@pytest.fixture
def settled(monkeypatch):
    monkeypatch.setattr("spectra.engines.memory.resident_bytes", lambda device="cpu": 300 * MIB)


@pytest.mark.slow
def test_a_network_of_26_million_parameters_is_held_within_4_gib():
    run = subprocess.run(
        [sys.executable, "-c", HELD.replace("MEMORY", str(FOUR))],
        capture_output=True,
        text=True,
        check=True,
    )
    # What Python and torch take before there is a network is .3 GiB of it.
    assert int(run.stdout.splitlines()[-1]) <= FOUR


def test_room_for_judging_is_left_beside_kept_work(net, settled):
    op = hessian_of(net, dtype=torch.float32)
    with_it = forecast(op, num_vectors=20, limit=2048 * MIB, judging=1000 * MIB)
    assert with_it.kept == 2048 * MIB - 300 * MIB - 1000 * MIB
    assert with_it.total == with_it.limit
    without = forecast(op, num_vectors=20, limit=2048 * MIB)
    assert without.kept > with_it.kept


def test_lanczos_vectors_and_judging_do_not_lie_beside_each_other(net, settled):
    op = hessian_of(net, dtype=torch.float32)
    plain = forecast(op, num_vectors=20, limit=2048 * MIB)
    judging = (plain.working + plain.basis) // 2
    assert forecast(op, num_vectors=20, limit=2048 * MIB, judging=judging).kept == plain.kept


def test_a_float64_pass_that_does_not_fit_is_refused_with_what_to_do(net, settled):
    op = hessian_of(net, dtype=torch.float32)
    with pytest.raises(InputError, match=r"float64 pass .* raise --memory, or .*: --no-proof"):
        forecast(op, num_vectors=20, limit=400 * MIB, judging=200 * MIB)


def test_without_proof_no_float64_pass_is_counted(net, settled):
    op, limit = hessian_of(net, dtype=torch.float32), 2048 * MIB
    asked = {"max_steps": 1, "num_steps": 1, "bending": False}
    judged, _ = within_limit(op, SolverSettings(**asked, top=2), limit=limit)
    alone, _ = within_limit(op, SolverSettings(**asked, top=2, proof=False), limit=limit)
    assert judged.memory_budget < alone.memory_budget


@pytest.mark.parametrize("what", [BOOTSTRAP, BENDING, SEARCH])
def test_what_there_is_no_room_for_is_left_out_and_that_is_said(what, net, settled, caplog):
    op = hessian_of(net, dtype=torch.float32)
    assert room_for(what, op, 2048 * MIB)
    assert not room_for(what, op, 300 * MIB)
    assert f"no {what}" in caplog.text


def test_building_is_refused_before_it_takes_more_than_the_limit(settled):
    check_room_to_build((10 * MIB, 0), 2048 * MIB, "cpu")
    check_room_to_build((10 * MIB, 0), None, "cpu")
    with pytest.raises(InputError, match=r"10,485,760 parameters with its checks is .* --param"):
        check_room_to_build((10 * MIB, 0), 1024 * MIB, "cpu")


def test_parameters_that_are_held_fixed_take_little_of_building(settled):
    check_room_to_build((MIB, 9 * MIB), 512 * MIB, "cpu")
    with pytest.raises(InputError, match=r"1,048,576 parameters with its checks is 0\.543 GiB"):
        check_room_to_build((MIB, 14 * MIB), 512 * MIB, "cpu")


def test_what_a_subset_holds_fixed_is_counted_in_float64():
    net = nn.Sequential(nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 3))
    op = HessianOperator(net, torch.ones(6, 50), [0, 1, 2] * 2, parameters="2", check=False)
    assert op.network_size == op.size + 50 * 51
    assert judging_bytes(op, SolverSettings()) > 8 * op.network_size
    assert needed_bytes(BOOTSTRAP, op) > 8 * op.network_size


def test_an_analysis_that_cannot_be_built_within_memory_is_refused_before_any_work():
    net, data = nn.Linear(4, 3), (torch.ones(6, 4), [0, 1, 2] * 2)
    with pytest.raises(InputError, match="memory for building"):
        analyze_classes(net, data, 0, memory=1)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"num_probes": 1, "num_steps": 30}, "a density of 30 steps holds 31 vectors"),
        ({"num_probes": 0, "top": 5}, "5 eigenpairs at each end need 22 vectors"),
    ],
)
def test_what_needs_more_vectors_than_there_is_room_for_is_refused(net, monkeypatch, asked, line):
    op, plan = hessian_of(net), forecast(hessian_of(net), num_vectors=15, limit=2**40)
    monkeypatch.setattr("spectra.engines.memory.forecast", lambda *a, **k: plan)
    with pytest.raises(InputError, match=f"{line}.*room for 15; raise --memory"):
        within_limit(op, SolverSettings(**asked), limit=2**40)


def test_extremes_without_room_for_vectors_do_not_run_on_active_images(net, monkeypatch):
    op = hessian_of(net)
    plan = forecast(op, num_vectors=15, limit=2**40, basis="none")
    monkeypatch.setattr("spectra.engines.memory.planned_memory", lambda *a, **k: plan)
    _, settings = within_limit(op, SolverSettings(num_probes=0, max_steps=15, basis="auto"))
    assert (settings.basis, settings.max_basis) == ("none", 12)  # which keep no vector at all


@pytest.mark.parametrize("room", [12, LEAST_ACTIVE])
def test_extremes_within_few_vectors_are_the_dense_ones(net, room):
    settings = SolverSettings(num_probes=0, tol=1e-9, floor=1e-11, max_steps=3000, max_basis=room)
    found = analyze_loss(hessian_of(net), label="x", classes=(0,), settings=settings)
    # Residuals of 1e-9 |θ| leave errors that are quadratic in them.
    assert found.lambda_min == pytest.approx(float(net.eigenvalues[0]), rel=1e-9)
    assert found.lambda_max == pytest.approx(float(net.eigenvalues[-1]), rel=1e-9)


def test_layers_within_few_vectors_are_the_same(net):
    settings = {"num_probes": 0, "per_layer": True, "tol": 1e-9, "floor": 1e-11, "max_steps": 3000}
    few, all_of_them = (
        analyze_loss(
            hessian_of(net), label="x", classes=(0,),
            settings=SolverSettings(max_basis=room, **settings),
        ).layers
        for room in (12, None)
    )  # fmt: skip
    for one, other in zip(few, all_of_them, strict=True):
        assert one.lambda_max == pytest.approx(other.lambda_max, rel=1e-9)
        assert one.lambda_min == pytest.approx(other.lambda_min, rel=1e-9, abs=1e-9)


def test_what_an_operator_was_built_with_is_freed_with_it():
    """An operation that saves its own result, as ReLU does, must not hold itself for good."""
    net = nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 3))
    images, labels = torch.randn(6, 7), torch.arange(6) % 3
    op = HessianOperator(net, images, labels)
    op.matvec(torch.ones(op.size))
    op.gauss_newton().matvec(torch.ones(op.size))
    gone = weakref.ref(op.model)
    del op
    gc.collect()
    assert gone() is None
    left = [p for p in gc.get_objects() if type(p) is nn.Parameter and p.shape == (8, 7)]
    assert all(p is net[0].weight for p in left)
