"""What is called the lowest eigenvalue of a small net whose two lowest are 2 % apart."""

import pytest
import torch
from torch import nn

from spectra import HessianOperator, extreme_eigenpairs
from spectra.active.extremes_by_active_images import extremes_by_active_images


@pytest.fixture(scope="module")
def op() -> HessianOperator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(10, 15), nn.ReLU(), nn.Linear(15, 5))
        images = torch.randn(300, 10)
    return HessianOperator(model, images, torch.arange(300) % 5)


@pytest.fixture(scope="module")
def eigenvalues(op) -> torch.Tensor:
    return torch.linalg.eigvalsh(op.in_float64().dense())


@pytest.mark.parametrize("seed", range(8))
def test_a_run_on_all_images_ends_at_the_lowest(op, eigenvalues, seed):
    found = extreme_eigenpairs(op, seed=seed)
    assert found.converged
    # 80 steps of Lanczos in float32: far closer than the next eigenvalue, 2 % away.
    assert abs(found.smallest.value - eigenvalues[0]) <= 1e-5 * abs(eigenvalues[0])


@pytest.mark.parametrize("seed", range(8))
def test_what_converged_on_active_images_is_within_its_residual_of_an_eigenvalue(
    op, eigenvalues, seed
):
    found = extremes_by_active_images(op, generator=torch.Generator().manual_seed(seed)).smallest
    assert float((eigenvalues - found.value).abs().min()) <= found.residual_norm


@pytest.mark.parametrize("seed", range(8))
def test_what_converged_on_active_images_is_the_lowest(op, eigenvalues, seed):
    found = extremes_by_active_images(op, generator=torch.Generator().manual_seed(seed))
    between = (eigenvalues[0] + eigenvalues[1]) / 2
    assert not found.smallest.converged or found.smallest.value < between
