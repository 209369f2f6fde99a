from functools import partial

import pytest
import torch
from drawn_results import HIGH, LOW, record_of

from spectra import DenseOperator, make_generator, slq

SIZE = 90


@pytest.fixture(scope="module")
def spectrum():
    eigenvalues = torch.randn(SIZE, generator=make_generator(0), dtype=torch.float64) * 0.05
    eigenvalues[:6] = torch.tensor([LOW, -4.0, 5.0, 11.0, 31.0, HIGH])
    noise = torch.randn(SIZE, SIZE, generator=make_generator(1), dtype=torch.float64)
    basis, _ = torch.linalg.qr(noise)
    matrix = basis @ torch.diag(eigenvalues) @ basis.T
    op = DenseOperator((matrix + matrix.T) / 2)
    generator = make_generator(2)
    return slq(op, num_probes=2, num_steps=40, probe="rademacher", generator=generator)


@pytest.fixture
def record(spectrum):
    return partial(record_of, spectrum)
