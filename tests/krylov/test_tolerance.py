"""The residual that is allowed, and the rounding of a product."""

import numpy as np
import pytest
import torch
from oracles import random_vector, symmetric_with_spectrum

from spectra import InputError
from spectra.krylov.tolerance import Tolerance, negligible, product_rounding


def test_allowed_is_relative_to_each_value_and_to_the_largest_at_least():
    assert Tolerance(0.1, 0.01).allowed([-50.0, 2.0, 0.0, 100.0]).tolist() == [5, 1, 1, 10]


def test_a_larger_value_that_is_known_elsewhere_counts_too():
    assert Tolerance(0.1, 0.01).allowed([1.0], largest=1000.0).tolist() == [10]
    assert Tolerance(0.1, 0.01).allowed([]).tolist() == []


@pytest.mark.parametrize(("tol", "floor"), [(0.0, 0.1), (-1.0, 0.1), (0.1, -0.1), (np.nan, 0.1)])
def test_what_cannot_be_met_is_refused(tol, floor):
    with pytest.raises(InputError, match=f"got {tol} and {floor}"):
        Tolerance(tol, floor)


def test_met_at_ends_counts_from_both_ends():
    values, residuals = np.array([-3.0, -1.0, 2.0, 4.0]), np.array([0.2, 0.2, 0.1, 1.0])
    met = Tolerance(0.1, 0.0).met_at_ends(values, residuals, 3)
    assert met.tolist() == [[True, False, True], [False, True, False]]


@pytest.mark.parametrize("closed", [False, True])
def test_pairs_that_are_not_there_have_converged_where_there_are_no_others(closed):
    met = Tolerance().met_at_ends(np.array([1.0]), np.array([0.0]), 3, closed=closed)
    assert met.tolist() == [[True, closed, closed]] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_rounding_of_a_product_is_within_the_bound(dtype):
    matrix = symmetric_with_spectrum(torch.linspace(-1, 3, 400, dtype=torch.float64), seed=0)
    v = random_vector(400, "v")
    v = (v / v.norm()).to(dtype)
    exact = matrix.to(dtype).double() @ v.double()
    error = float(((matrix.to(dtype) @ v).double() - exact).norm())
    assert error <= 3 * product_rounding(400, torch.finfo(dtype).eps)


def test_in_float32_no_coupling_of_a_bulk_counts_as_rounding():
    eps = torch.finfo(torch.float32).eps
    # 10 √P eps would be 1.2e-3 for a million parameters.
    assert negligible(4e-6, 1.0, 1_000_000, eps)
    assert not negligible(6e-6, 1.0, 1_000_000, eps)
