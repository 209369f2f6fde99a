import numpy as np
import pytest

from spectra import InputError, Spectrum, Tridiagonal, product_noise


def spectrum(alphas: list[float], betas: list[float]) -> Spectrum:
    return Spectrum((Tridiagonal(np.array(alphas), np.array(betas), 1.0, closed=False),), 10)


def test_noise_of_a_symmetric_matrix_of_two_steps():
    found = product_noise(spectrum([0.0, 0.0], [3.0]))  # eigenvalues ±3, weight 1/2 each
    assert (found.alpha_over_beta, found.asymmetry) == (0.0, pytest.approx(0, abs=1e-15))


def test_noise_of_a_positive_matrix():
    found = product_noise(spectrum([2.0, 2.0], [1.0]))  # eigenvalues 1 and 3
    assert (found.alpha_over_beta, found.asymmetry) == (2.0, pytest.approx(1.0))


def test_one_step_has_no_noise_figure():
    with pytest.raises(InputError, match="at least 2"):
        product_noise(spectrum([1.0], []))
