"""Networks with complex tensors: their imaginary parts count, or they are refused."""

import pytest
import torch
from oracles import dense_hessian
from torch import Tensor, nn

from spectra import HessianOperator, InputError

DOUBLE = torch.float64


class Phases(nn.Module):
    """A linear layer on |x + phase w| with a complex buffer, whose real part alone gives others."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2, dtype=DOUBLE)
        self.register_buffer("phase", torch.tensor([1j, 1 + 1j, 0.5j], dtype=torch.complex128))

    def forward(self, x: Tensor) -> Tensor:
        mixed = x + self.phase * self.linear.weight[0]
        return self.linear((mixed * mixed.conj()).real)


class ComplexWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3, 2, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.w.dtype) @ self.w).real


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=generator, dtype=DOUBLE), torch.arange(6) % 2


@pytest.mark.parametrize(("dtype", "relative"), [(DOUBLE, 1e-12), (torch.float32, 1e-5)])
def test_a_complex_buffer_keeps_its_imaginary_part(data, dtype, relative):
    model, (images, labels) = Phases(), data
    op = HessianOperator(model, images.to(dtype), labels, dtype=dtype)
    expected = dense_hessian(model, images, labels)
    found = torch.stack([op.in_float64().matvec(row) for row in torch.eye(op.size, dtype=DOUBLE)])
    # Sums of some hundred terms, of buffers and parameters that were rounded to ``dtype``.
    assert float((found - expected).norm()) <= relative * float(expected.norm())


def test_the_callers_buffer_stays_what_it_is(data):
    model = Phases()
    HessianOperator(model, data[0].float(), data[1])
    assert model.phase.dtype == torch.complex128


def test_complex_parameters_are_refused_in_one_line(data):
    with pytest.raises(InputError, match=r"parameter w is complex.*view_as_real"):
        HessianOperator(ComplexWeights(), data[0].float(), data[1])
