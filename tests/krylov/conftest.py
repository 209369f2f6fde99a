"""A matrix with both ends apart from its bulk."""

import pytest
import torch
from oracles import symmetric_with_spectrum

from spectra import DenseOperator


@pytest.fixture
def dense():
    eigenvalues = torch.cat([torch.tensor([-3.0, -0.5]), torch.linspace(0, 1, 55).double()])
    eigenvalues = torch.cat([eigenvalues, torch.tensor([4.0, 9.0])])
    return DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))
