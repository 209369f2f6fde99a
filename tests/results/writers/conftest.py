import numpy as np
import pytest
from drawn_results import analysis, record_of

from spectra import Spectrum, Tridiagonal


@pytest.fixture
def density() -> Spectrum:
    runs = (
        Tridiagonal(np.array([1.0, 2.0, -3.0]), np.array([0.5, 0.2]), 0.1, closed=False),
        Tridiagonal(np.array([1.0, 2.0]), np.array([0.5]), 0.0, closed=True),
    )
    return Spectrum(runs, 50, "normal")


@pytest.fixture
def found(density):
    """A result at epoch 200 of a class with a density, and of a group without one."""
    return analysis(record_of(density, "8", accuracy=0.25), record_of(None, "tail"))
