import pytest
import torch

from spectra import DenseOperator, make_generator, slq


@pytest.fixture(scope="session")
def spectrum():
    op = DenseOperator(torch.diag(torch.linspace(-1, 5, 12, dtype=torch.float64)))
    return slq(op, num_probes=1, num_steps=8, generator=make_generator(0))
