"""Layers whose derivatives are a little wrong, and deep nets with one of them in their midst."""

import torch
from torch import Tensor, nn


class Detached(nn.Module):
    """z (1 + share z) of which the second z counts as a constant."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, z: Tensor) -> Tensor:
        return z * (1 + self.share * z.detach())


class _Slope(torch.autograd.Function):
    """1 - tanh², with a derivative that is 1 % too large."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 1 - torch.tanh(x) ** 2

    @staticmethod
    def backward(ctx, gradient):
        t = torch.tanh(ctx.saved_tensors[0])
        return -2.02 * t * (1 - t**2) * gradient


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, gradient):
        return _Slope.apply(ctx.saved_tensors[0]) * gradient


class WrongBend(nn.Module):
    """Tanh with a second derivative that is 1 % too large."""

    def forward(self, x: Tensor) -> Tensor:
        return _Tanh.apply(x)


class _Enlarged(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return 1.01 * gradient


class EnlargedGradient(nn.Module):
    """The identity, whose gradient is 1 % too large."""

    def forward(self, x: Tensor) -> Tensor:
        return _Enlarged.apply(x)


class Rounded(nn.Module):
    """Rounds to eighths, with the gradient of the identity: a straight-through estimator."""

    def forward(self, x: Tensor) -> Tensor:
        return x + (torch.round(8 * x) / 8 - x).detach()


def deep_net(layer: nn.Module, seed: int, *, place: int = 10, width: int = 64) -> nn.Module:
    """Return a net of 21 linear layers with tanh between them, and ``layer`` after one of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden = [[nn.Linear(width, width), nn.Tanh()] for _ in range(20)]
        hidden[place].append(layer)
        return nn.Sequential(*(one for part in hidden for one in part), nn.Linear(width, 10))


def images_and_labels(n: int, *shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *shape, generator=generator), torch.arange(n) % 10
