import numpy as np
import pytest
import torch
from oracles import symmetric_with_spectrum

from spectra import DenseOperator, negative_share, slq

DOUBLE = torch.float64


def bulk_and_outliers(negative: float) -> torch.Tensor:
    """A bulk on both sides of 0, as networks have, and outliers above."""
    bulk = torch.linspace(-negative, 1, 190, dtype=DOUBLE) ** 3
    return torch.cat([bulk, torch.linspace(5, 40, 10, dtype=DOUBLE)])


def exact(eigenvalues: torch.Tensor) -> float:
    return float(-eigenvalues[eigenvalues < 0].sum() / eigenvalues.abs().sum())


@pytest.mark.parametrize("negative", [0.3, 1.0, 2.0])
def test_the_share_is_that_of_all_eigenvalues_within_its_interval(negative):
    eigenvalues = bulk_and_outliers(negative)
    op = DenseOperator(symmetric_with_spectrum(eigenvalues, seed=2))
    found = negative_share(slq(op, num_probes=6, num_steps=60))
    assert found.lower <= exact(eigenvalues) <= found.upper
    assert found.share == pytest.approx(exact(eigenvalues), rel=0.3)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    eigenvalues = bulk_and_outliers(1.0)
    op = DenseOperator(torch.diag(eigenvalues))
    held = 0
    for seed in range(60):
        found = negative_share(slq(op, num_probes=5, num_steps=60, seed=seed))
        held += found.lower <= exact(eigenvalues) <= found.upper
    # .95 with a standard error of .028 over 60 seeds.
    assert held / 60 >= 0.95 - 3 * 0.028


def test_a_positive_matrix_has_none_and_its_negative_nothing_else():
    matrix = torch.diag(torch.linspace(0.5, 2, 30, dtype=DOUBLE))
    assert negative_share(slq(DenseOperator(matrix), num_steps=30)).share == 0
    assert negative_share(slq(DenseOperator(-matrix), num_steps=30)).share == pytest.approx(1)


def test_one_probe_has_no_interval_and_a_null_space_is_no_negative_part():
    values = torch.cat([torch.zeros(50, dtype=DOUBLE), torch.tensor([1.0, 3.0], dtype=DOUBLE)])
    op = DenseOperator(symmetric_with_spectrum(values, seed=3))
    found = negative_share(slq(op, num_probes=1, num_steps=20))
    assert (found.lower, found.upper) == (None, None)
    assert found.share == 0
    assert np.isfinite(found.rounding)


def test_half_the_steps_say_whether_more_would_change_the_share():
    eigenvalues = bulk_and_outliers(1.0)
    op = DenseOperator(torch.diag(eigenvalues))
    few, many = (negative_share(slq(op, num_probes=3, num_steps=m)) for m in (30, 60))
    # Eigenvalues at 1/P and weights of the same probes: rounding alone tells them apart.
    assert many.half_steps == pytest.approx(few.share, rel=1e-6)
    assert abs(many.half_steps - many.share) > 1e-4
