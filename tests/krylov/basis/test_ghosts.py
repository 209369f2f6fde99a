"""Without a basis, eigenvectors that have converged come back: none is counted twice."""

import numpy as np
import pytest
import torch
from oracles import symmetric_with_spectrum

from spectra import DenseOperator, extreme_eigenpairs
from spectra.krylov.tridiagonal import Tridiagonal, WithoutCopies

BULK = 1e-2 * torch.randn(390, generator=torch.Generator().manual_seed(0)).double()
SPECTRA = {
    "outliers": torch.cat(
        [torch.tensor([-3.0]), torch.linspace(-0.5, 1, 196), torch.tensor([6.0, 8.0, 20.0])]
    ).double(),
    # As a Hessian's: two that are close below, a bulk at zero, one far above the others.
    "hessian": torch.cat(
        [torch.tensor([-3.0, -2.9]), BULK, torch.tensor([5.0, 6.0, 8.0, 200.0])]
    ).double(),
}


@pytest.mark.parametrize(
    ("k", "min_steps", "dtype"),
    [(1, 80, torch.float64), (2, 1, torch.float64), (3, 80, torch.float64), (2, 80, torch.float32)],
    ids=str,
)
@pytest.mark.parametrize("name", SPECTRA)
def test_extremes_without_a_basis_are_those_of_the_matrix(name, k, min_steps, dtype):
    op = DenseOperator(symmetric_with_spectrum(SPECTRA[name], seed=0).to(dtype))
    exact = np.sort(SPECTRA[name].numpy())
    found = extreme_eigenpairs(
        op, k, tol=1e-3, floor=1e-5, min_steps=min_steps, max_steps=300, basis="none"
    )
    # In float32 vectors may be worse than the recurrence says, which their residuals then do.
    assert found.converged or dtype == torch.float32
    # A residual of 1e-3 |θ| leaves less than that of error, floor 1e-5 of the largest.
    reach = np.maximum(1e-3 * np.abs(exact), 1e-5 * np.abs(exact).max())
    low, high = ([pair.value for pair in pairs] for pairs in (found.lowest, found.highest))
    assert np.all(np.abs(np.array(low) - exact[:k]) <= reach[:k])
    assert np.all(np.abs(np.array(high) - exact[::-1][:k]) <= reach[::-1][:k])


def test_vectors_of_values_counted_once_are_orthogonal():
    op = DenseOperator(symmetric_with_spectrum(SPECTRA["hessian"], seed=0))
    found = extreme_eigenpairs(op, 3, tol=1e-4, floor=1e-6, min_steps=80, basis="none")
    rows = torch.stack([pair.vector for pair in found.pairs])
    # Residuals of 1e-4 |θ| over gaps of a thirtieth.
    torch.testing.assert_close(rows @ rows.T, torch.eye(6).double(), rtol=0, atol=1e-2)


def test_a_copy_is_left_out_and_its_neighbour_stays():
    alphas = np.array([2.0, 1.0, 2.0])
    t = WithoutCopies(alphas, np.array([0.0, 0.0]), 1e-9, False, 1e-6)
    assert t.ritz_values().tolist() == [1.0, 2.0]
    assert t.leading(2).ritz_values().tolist() == [1.0, 2.0]
    assert Tridiagonal(alphas, t.betas, 1e-9, False).ritz_values().tolist() == [1.0, 2.0, 2.0]
