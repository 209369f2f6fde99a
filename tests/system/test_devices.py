"""What must hold on a card and can be seen without one."""

import contextlib
import functools
import importlib
import itertools
from dataclasses import dataclass

import pytest
import torch
from oracles import symmetric_with_spectrum
from torch import nn

from checkpoints.data import ImageProtocol
from checkpoints.data.normalisations import CIFAR
from spectra import (
    DenseOperator,
    Eigenpair,
    Extremes,
    HessianOperator,
    Lanczos,
    PyHessianOperator,
    SolverSettings,
    analyze_loss,
    extreme_eigenpairs,
    extremes_by_active_images,
    make_generator,
)
from spectra.engines.analyze_fresh import fresh_density
from spectra.engines.own import run_spectra
from spectra.engines.pyhessian import run_pyhessian
from spectra.krylov.extremes import extremes_of_run
from spectra.krylov.tolerance import Tolerance

DOUBLE = torch.float64


def problem(n: int = 60) -> HessianOperator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
        return HessianOperator(model, torch.randn(n, 6), torch.arange(n) % 3, dtype=DOUBLE)


def pair(vector: torch.Tensor) -> Eigenpair:
    return Eigenpair(0.0, vector / vector.norm(), 0.0, True)


def test_extremes_move_with_all_else_unchanged():
    found = Extremes((pair(torch.ones(4)),), (pair(torch.ones(4)),), 7, start="warm")
    moved = found.to("meta")
    assert (moved.smallest.vector.device.type, moved.largest.vector.device.type) == ("meta",) * 2
    assert (moved.steps, moved.start, moved.smallest.value) == (7, "warm", 0.0)


@dataclass(frozen=True)
class Elsewhere(Extremes):
    """A warm start that lies on another device, and can only be used after it has been moved."""

    def to(self, device):
        assert torch.device(device).type == "cpu"
        ones = torch.ones(self.smallest.vector.shape, dtype=DOUBLE)
        return Extremes((pair(ones),), (pair(ones),), 0)


def elsewhere(size: int) -> Elsewhere:
    far = pair(torch.ones(size, dtype=DOUBLE, device="meta"))
    return Elsewhere((far,), (far,), 0)


def test_a_warm_start_may_lie_on_any_device():
    op = problem()
    found = extremes_by_active_images(op, generator=make_generator(0), warm=elsewhere(op.size))
    assert found.start == "warm"
    assert found.smallest.vector.device.type == "cpu"


def test_so_it_may_where_its_overlaps_are_taken():
    op = problem()
    settings = SolverSettings(num_probes=0, proof=False)
    record = analyze_loss(op, label="0", classes=(0,), settings=settings, warm=elsewhere(op.size))
    assert all(0 <= overlap <= 1 for overlap in record.overlaps)


@pytest.fixture
def reads(monkeypatch):
    """Have every run check its steps as on a card; list how many it had made at each reading."""
    made: list[int] = []
    read = Lanczos._read

    def counted(self):
        if self._unread:
            made.append(len(self))
        read(self)

    late = functools.partialmethod(Lanczos.__init__, check_every=5)
    monkeypatch.setattr(Lanczos, "__init__", late)
    monkeypatch.setattr(Lanczos, "_read", counted)
    return made


def spread(size: int = 200) -> DenseOperator:
    return DenseOperator(symmetric_with_spectrum(torch.linspace(-1, 3, size, dtype=DOUBLE), seed=0))


def test_a_run_to_convergence_waits_at_every_fifth_step_at_most(reads):
    op = spread()
    found = extreme_eigenpairs(
        op, tol=1e-6, min_steps=1, max_steps=150, generator=make_generator(0)
    )
    assert found.steps > 50
    assert all(later - sooner >= 5 for sooner, later in itertools.pairwise(reads))


def test_it_finds_what_a_run_that_is_checked_at_every_step_finds():
    op, start = spread(), torch.ones(200, dtype=DOUBLE)
    found = {
        every: extremes_of_run(Lanczos(op, start, check_every=every), tolerance=Tolerance(1e-6))
        for every in (1, 5)
    }
    assert found[5].smallest.converged
    assert found[5].largest.converged
    # A relative residual of 1e-6 leaves an error of its square; both are within it of the ends.
    assert found[5].smallest.value == pytest.approx(found[1].smallest.value, abs=1e-9)
    assert found[1].steps <= found[5].steps < found[1].steps + 5


def test_a_space_that_closes_between_two_checks_is_left_for_a_new_direction():
    values = torch.tensor([-2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 5.0], dtype=DOUBLE)
    op = DenseOperator(torch.diag(values))
    start = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], dtype=DOUBLE)  # misses -2
    run = Lanczos(op, start, check_every=5)
    found = extremes_of_run(run, tolerance=Tolerance(1e-9, 1e-9), max_steps=6)
    assert found.smallest.value == pytest.approx(-2.0, abs=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        SolverSettings(num_probes=2, num_steps=30),
        SolverSettings(num_probes=0),
        SolverSettings(num_probes=1, num_steps=33, certify_below=True),
    ],
    ids=["density", "extremes-alone", "certified-below"],
)
def test_an_engine_waits_at_every_fifth_step_at_most(reads, settings):
    run_spectra(problem(), label="0", settings=settings)
    steps = sum(b - a if b > a else b for a, b in itertools.pairwise([0, *reads]))
    assert len(reads) <= steps / 5 + 5  # a run's last reading may come sooner


def test_a_bound_from_below_is_looked_for_wherever_a_run_was_taken_up(reads):
    settings = SolverSettings(num_probes=1, num_steps=23, certify_below=True, max_steps=60)
    found = run_spectra(problem(), label="0", settings=settings)
    assert found.extremes.steps < 60  # the bound was reached, and that was seen


def pictures(n: int = 5) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=make_generator(0))


def test_a_draw_is_made_where_the_images_are():
    protocol = ImageProtocol.parse("fresh")
    draw = protocol.fresh(pictures().to("meta"), CIFAR, make_generator(0))
    assert draw().device.type == "meta"
    assert protocol.frozen(pictures().to("meta"), CIFAR, make_generator(0))[:].device.type == "meta"


@pytest.fixture
def current(monkeypatch):
    """Note the card that each block makes the current one, and where PyHessian's work is done."""
    pytest.importorskip("pyhessian")
    now: list[torch.device] = []

    @contextlib.contextmanager
    def on_its_card(device):
        now.append(device)
        yield
        now.pop()

    monkeypatch.setattr("spectra.engines.pyhessian.on_its_card", on_its_card)
    module = importlib.import_module("pyhessian.hessian")
    seen: list[str] = []
    for name in ("__init__", "dataloader_hv_product", "density"):
        method = getattr(module.hessian, name)

        def watched(self, *args, _method=method, _name=name, **kwargs):
            assert now, f"{_name} outside of its card"
            seen.append(_name)
            return _method(self, *args, **kwargs)

        monkeypatch.setattr(module.hessian, name, watched)
    return seen


def test_pyhessian_works_with_the_operators_card_as_the_current_one(current):
    settings = SolverSettings(engine="pyhessian", num_probes=1, num_steps=5, max_steps=5)
    run_pyhessian(problem(), label="0", settings=settings)
    assert set(current) == {"__init__", "dataloader_hv_product", "density"}


def test_so_it_does_over_images_that_are_drawn_anew(current):
    op = problem()
    settings = SolverSettings(engine="pyhessian", num_probes=1, num_steps=5)
    fresh_density(op, lambda: op.images, label="0", settings=settings)
    assert set(current) == {"__init__", "dataloader_hv_product", "density"}


def test_what_pyhessian_looks_images_up_by_is_where_they_are():
    pytest.importorskip("pyhessian")
    op = problem()
    for images, index in PyHessianOperator(op).peer.data:
        assert images.device == index.device == op.device


@pytest.mark.parametrize(("device", "wanted"), [("cuda", 16), ("cpu", 2)])
def test_float64_work_on_a_card_takes_the_bytes_of_float32_work(monkeypatch, device, wanted):
    op = HessianOperator(nn.Linear(6, 3), torch.ones(40, 6), torch.arange(40) % 3, micro_chunk=32)
    double = op._in_float64()
    op.device = torch.device(device)
    monkeypatch.setattr(op, "check_point", lambda: None)
    monkeypatch.setattr(op, "_in_float64", lambda: double)
    assert op.in_float64().micro_chunk == wanted
