"""What bounds the spectrum from outside after each kind of run."""

import pytest
import torch
from oracles import dense_hessian, images_and_labels

from spectra import HessianOperator, SolverSettings
from spectra.engines.certify import certificates_of
from spectra.engines.own import run_spectra
from spectra.krylov.extremes import Extremes, proven_extremes
from spectra.krylov.rayleigh_quotients import Eigenpair
from spectra.krylov.tolerance import Tolerance

DOUBLE = torch.float64


@pytest.fixture(scope="module")
def case():
    """A net of few images: its Hessian has many eigenvalues 0, and Krylov spaces close early."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(32, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
        )
    images, labels = images_and_labels(3)
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(model, images, labels))
    return HessianOperator(model, images, labels, dtype=DOUBLE), eigenvalues


def bounds_of(op, warm=None, **options):
    settings = SolverSettings(seed=1, **options)
    return run_spectra(op, label="x", settings=settings, warm=warm)


def assert_bounded(result, eigenvalues):
    outer = result.extremes.outer_bounds
    assert outer is not None
    # To what a dense eigensolver is wrong by.
    slack = 1e-12 * float(eigenvalues[-1])
    assert outer.below <= float(eigenvalues[0]) + slack
    assert outer.above >= float(eigenvalues[-1]) - slack


def test_a_run_whose_space_closed_is_bounded_by_its_first_block(case):
    op, eigenvalues = case
    result = bounds_of(op, num_probes=1, num_steps=150)
    assert 0.0 in result.spectrum.probes[0].betas or result.spectrum.probes[0].closed
    assert_bounded(result, eigenvalues)
    assert result.extremes.outer_bounds.below == pytest.approx(float(eigenvalues[0]), rel=1e-6)


def test_what_a_run_did_before_its_basis_was_cut_back_bounds(case):
    op, eigenvalues = case
    result = bounds_of(op, num_probes=0, max_basis=12)
    assert result.extremes.restarts > 0
    assert_bounded(result, eigenvalues)
    assert "cold start, 11 steps" in result.cause


@pytest.mark.parametrize("options", [{"max_basis": 12}, {}], ids=["few vectors", "many"])
def test_a_warm_start_over_all_images_is_bounded_by_its_random_part(case, options):
    op, eigenvalues = case
    first = bounds_of(op, num_probes=0).extremes
    result = bounds_of(op, warm=first, num_probes=0, **options)
    assert result.extremes.start == "warm"
    assert_bounded(result, eigenvalues)
    assert "start random in part" in result.cause


def test_a_residual_that_a_float64_product_refutes_does_not_count_as_converged(case):
    op, _ = case
    vector = torch.ones(op.size, dtype=DOUBLE) / op.size**0.5
    pair = Eigenpair(value=1.0, vector=vector, residual_norm=0.0, converged=True)
    found = proven_extremes(op, Extremes((pair,), (pair,), steps=1), Tolerance())
    assert found.proven
    assert not found.converged


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"probe": "rademacher"}, "Rademacher probe"),
        ({"basis": "half"}, "basis in half precision"),
    ],
)
def test_what_bounds_nothing_says_so_in_the_certificates(case, options, cause):
    op, _ = case
    result = bounds_of(op, num_probes=1, num_steps=12, **options)
    assert result.extremes.outer_bounds is None
    low, high = certificates_of(result, op.dtype)
    assert (low.beyond, low.why) == (None, f"not bounded below: {cause}")
    assert (high.beyond, high.why) == (None, f"not bounded above: {cause}")
