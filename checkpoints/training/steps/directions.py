"""Directions in the space of all parameters together: norm, ascent, random draws."""

from collections.abc import Sequence

import torch
from torch import Tensor

# As in the common implementations: at a stationary point ε = 0.
_TINY = 1e-12
# What torch's operations on many tensors at once take.
Tensors = list[Tensor] | tuple[Tensor, ...]


def norm(direction: Tensors) -> Tensor:
    """Return the norm over all tensors together."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(direction)))


def ascent(gradient: Tensors, rho: float, scales: Tensors | None = None) -> Tensors:
    """Return ε = ρ g / ‖g‖; with scales T, ε = ρ T² g / ‖T g‖.

    Args:
        gradient: g, one tensor a parameter.
        rho: ρ, parameter units; relative to the scales where there are any.
        scales: T, of the gradient's shapes.

    Source: Foret et al., ICLR 2021; scales: Kwon et al., ICML 2021.
    """
    if scales is None:
        return torch._foreach_mul(gradient, rho / (norm(gradient) + _TINY))
    step = ascent(torch._foreach_mul(gradient, scales), rho)
    torch._foreach_mul_(step, scales)
    return step


def plus(a: Tensors, b: Tensors, factor: float = 1.0) -> Tensors:
    """Return a + factor · b."""
    # Multiplied before it is added: with ``alpha`` the two would be rounded as one.
    return torch._foreach_add(a, b if factor == 1.0 else torch._foreach_mul(b, factor))


def standard_normal(
    parameters: Sequence[Tensor], generator: torch.Generator, times: int = 1
) -> list[list[Tensor]]:
    """Return ``times`` standard normal tensors for each parameter, copied to its device at once.

    Args:
        parameters: of one device.
        generator: a CPU generator, drawn from for one parameter after the other.
        times: how often.
    """
    shapes = [p.shape for _ in range(times) for p in parameters]
    drawn = [torch.randn(shape, generator=generator) for shape in shapes]
    flat = torch.cat([d.reshape(-1) for d in drawn]).to(parameters[0].device)
    pieces = flat.split([d.numel() for d in drawn])
    shaped = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
    n = len(parameters)
    return [
        [d.to(p) for d, p in zip(shaped[k * n : (k + 1) * n], parameters, strict=True)]
        for k in range(times)
    ]
