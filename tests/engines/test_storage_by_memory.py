"""Basis ``auto``: vectors are kept where memory has room for them."""

from dataclasses import replace

import pytest
import torch
from oracles import hessian_of

from spectra import SolverSettings, analyze_loss
from spectra.engines import memory
from spectra.engines.memory import planned_memory, within_limit

MIB = 2**20
ASKED = SolverSettings(
    num_probes=1, num_steps=30, max_steps=60, basis="auto", proof=False, bending=False
)


@pytest.fixture
def plan(net, monkeypatch):
    """Return what plans for a network whose vectors take a MiB each, beside 100 of others."""
    op = hessian_of(net, dtype=torch.float32)
    monkeypatch.setattr(memory, "resident_bytes", lambda device="cpu": 100 * MIB)
    monkeypatch.setattr(memory, "working_bytes", lambda op: 0)
    sizes = {"device": MIB, "half": MIB // 2, "none": 0}
    monkeypatch.setattr(memory, "bytes_per_vector", lambda op, basis: sizes[basis])
    monkeypatch.setattr(memory, "fixed_bytes", lambda op, basis: 3 * MIB * (basis != "device"))

    def planned(room: int, **options: object):
        # A 32nd of a limit is left to the holes between blocks.
        limit = (100 + room) * MIB * 32 // 31 + 1
        return planned_memory(op, replace(ASKED, **options), limit=limit)

    return planned


@pytest.mark.parametrize(
    ("room", "storage"), [(61, "device"), (31, "device"), (30, "half"), (19, "half"), (18, "none")]
)
def test_a_density_is_kept_whole_or_in_half_precision_or_not_at_all(plan, room, storage):
    assert plan(room).storage == storage


@pytest.mark.parametrize(
    ("room", "storage"), [(24, "device"), (23, "half"), (14, "none"), (10, "none")]
)
def test_extremes_alone_are_kept_while_restarts_cost_little(plan, room, storage):
    assert plan(room, num_probes=0).storage == storage


def test_what_bounds_from_below_is_not_kept_in_half_precision(plan):
    assert plan(25, certify_below=True).storage == "none"


def test_an_analysis_by_auto_is_that_of_the_storage_chosen(net):
    op = hessian_of(net)
    settings = replace(ASKED, num_steps=5, max_steps=20)
    op, chosen = within_limit(op, settings)
    assert (chosen.basis, chosen.max_basis) == ("device", None)
    one, other = (
        analyze_loss(op, label="x", classes=(0,), settings=s)
        for s in (settings, replace(settings, basis="device"))
    )
    assert (one.lambda_min, one.lambda_max) == (other.lambda_min, other.lambda_max)
