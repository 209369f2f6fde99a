"""Outputs to take losses of, and how close values worked by hand must be."""

import torch
from torch import Tensor

from spectra import make_generator

COUNTS = (5000, 387, 50)


def outputs_and_labels(n: int = 12) -> tuple[Tensor, Tensor]:
    generator = make_generator(0, "losses")
    return torch.randn(n, 3, generator=generator, dtype=torch.float64), torch.arange(n) % 3


def close(actual: Tensor, expected: Tensor | list[float]) -> None:
    # float64 values of order 1 after at most a dozen roundings: 1e-12 is 100 times the error.
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
