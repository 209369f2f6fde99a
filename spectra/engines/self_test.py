"""A short check of this installation against a dense oracle."""

from dataclasses import dataclass

import torch
from torch import nn

from spectra.krylov.extremes import extreme_eigenpairs
from spectra.operators.hessian import HessianOperator
from spectra.system.seeding import make_generator


@dataclass(frozen=True)
class SelfTest:
    """Largest errors of the fast path against the dense float64 Hessian, over max|λ|.

    Attributes:
        product: of a Hessian-vector product, relative to the matrix norm.
        lambda_min: of λmin.
        lambda_max: of λmax.
        passed: all below ``tolerance``.
        tolerance: what was allowed.
    """

    product: float
    lambda_min: float
    lambda_max: float
    passed: bool
    tolerance: float


def dense_self_test(device: str = "cpu", *, dtype: torch.dtype = torch.float64) -> SelfTest:
    """Compare products and extremes with a dense Hessian on a small network.

    Args:
        device: where the fast path runs; the oracle is always float64 on the CPU.
        dtype: of the fast path.
    """
    generator = make_generator(0, "self-test")
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    images = torch.randn(30, 1, 4, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (30,), generator=generator)
    matrix = _dense_hessian(model, images, labels)
    op = HessianOperator(model, images, labels, dtype=dtype, device=device, micro_chunk=7)
    v = torch.randn(op.size, generator=generator, dtype=torch.float64)
    eigenvalues = torch.linalg.eigvalsh(matrix)
    scale = float(eigenvalues.abs().max())
    product = op.matvec(v.to(op.device, op.dtype)).double().cpu()
    error = float((product - matrix @ v).norm() / v.norm()) / scale
    found = extreme_eigenpairs(
        op,
        tol=1e-9,
        floor=1e-9,
        min_steps=1,
        max_steps=op.size,
        generator=make_generator(1, "self-test"),
        proof=False,
    )
    low = abs(found.smallest.value - float(eigenvalues[0])) / scale
    high = abs(found.largest.value - float(eigenvalues[-1])) / scale
    tolerance = 1e-8 if dtype == torch.float64 else 1e-3
    return SelfTest(error, low, high, max(error, low, high) <= tolerance, tolerance)


def _dense_hessian(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the Hessian row by row, from one gradient of the whole batch."""
    parameters = list(model.parameters())
    loss = nn.functional.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    rows = []
    for element in torch.cat([g.reshape(-1) for g in gradients]):
        row = torch.autograd.grad(element, parameters, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([r.reshape(-1) for r in row]))
    return torch.stack(rows)
