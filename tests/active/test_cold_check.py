"""What a cold check sees, and how likely it says that it would have missed something."""

import math

import pytest
import torch
from scipy.stats import chi2

from spectra import LambdaOperator, make_generator
from spectra.active import cold_check as module
from spectra.active.cold_check import MISSED, cold_check
from spectra.active.jacobi_davidson import PartModel, Subspace

DOUBLE = torch.float64
FLOOR = 1e-4


def diagonal(eigenvalues: torch.Tensor) -> LambdaOperator:
    return LambdaOperator(lambda v: eigenvalues * v, len(eigenvalues))


def checked(eigenvalues: torch.Tensor, seed: int):
    """Return a check beside the eigenvectors of the first and the last, and its subspace."""
    op = diagonal(eigenvalues)
    known = torch.eye(len(eigenvalues), dtype=DOUBLE)[[0, -1]]
    sub = Subspace(op)
    sub.extend(list(known))
    model = PartModel(op, known, torch.diag(eigenvalues[[0, -1]]).numpy())
    ends = float(eigenvalues[0]), float(eigenvalues[-1])
    return cold_check(sub, model, ends, make_generator(seed), floor=FLOOR), sub


@pytest.fixture
def large(monkeypatch):
    """As on a large network: steps are not free."""
    monkeypatch.setattr(module, "FREE_NUMBERS", 0)


BULK = 0.1 * torch.linspace(-1, 1, 2000, dtype=DOUBLE)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("seed", range(10))
def test_an_eigenvalue_far_further_out_shows_itself(seed):
    hidden = BULK.clone()
    hidden[700] = -4.0
    found, sub = checked(torch.cat([torch.tensor([-1.0]), hidden, torch.tensor([5.0])]), seed)
    assert found.passed == (True, True)
    assert sub.pair(0)[0] < -1.5


@pytest.mark.usefixtures("large")
def test_where_nothing_hides_a_few_steps_are_enough():
    ends = torch.tensor([-1.0]), torch.tensor([5.0])
    found, sub = checked(torch.cat([ends[0], BULK, ends[1]]), 0)
    assert found.passed == (True, True)
    assert max(found.missed) <= MISSED
    assert found.steps <= 3
    assert sub.pair(0)[0] == pytest.approx(-1, abs=1e-12)


@pytest.mark.usefixtures("large")
def test_a_check_that_cannot_say_has_not_passed(monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 4)
    # A bulk as deep as the end, in the shadow of one that is five times as high.
    bulk = torch.linspace(-0.99, 4.9, 5000, dtype=DOUBLE)
    found, _ = checked(torch.cat([torch.tensor([-1.0]), bulk, torch.tensor([5.0])]), 0)
    assert found.steps == 4
    assert found.passed[0] is False


def test_on_a_small_network_the_check_finds_what_is_a_little_further_out():
    hidden = torch.linspace(-0.5, 1, 200, dtype=DOUBLE)
    hidden[40] = -1.05
    eigenvalues = torch.cat([torch.tensor([-1.0]), hidden, torch.tensor([5.0])])
    for seed in range(10):
        found, sub = checked(eigenvalues, seed)
        assert found.passed == (True, True)
        assert sub.pair(0)[0] < -1.03


def test_the_probability_is_that_of_the_component_in_the_start():
    # Beside H = 0 a first step has α = 0, β = 0 but for a hidden λ: with α, β given, c² π(λ)² <= 1.
    seen = module._Seen((-1.0, 1.0), FLOOR, 10_000)
    seen.add(0.0, 0.01)
    low, high = seen.missed(2.0)
    # Σ π² = 1 + 200²; P c² is χ²_1 for large P.
    assert low == high
    assert low == pytest.approx(float(chi2.cdf(10_000 / (1 + 200**2), 1)), rel=1e-3)
    assert not math.isclose(low, 0)


def test_a_space_that_is_exhausted_hides_nothing():
    found, _ = checked(torch.tensor([-1.0, 0.0, 0.5, 2.0], dtype=DOUBLE), 0)
    assert found.missed == (0.0, 0.0)
    assert found.passed == (True, True)
