"""Small pictures, their views, and a network for them."""

import torch
from torch import nn

from checkpoints.data import ImageProtocol
from spectra import make_generator


def generator(name: str = "views") -> torch.Generator:
    return make_generator(0, name)


def cut(protocol: ImageProtocol, images: torch.Tensor, name: str = "views") -> torch.Tensor:
    """Return all views at once, uint8."""
    if protocol.kind == "plain":
        return images
    return protocol.frozen(images, lambda x: x, generator(name))[:]


def pictures(n: int = 3, size: int = 5) -> torch.Tensor:
    return torch.randint(0, 256, (n, 2, size, size), dtype=torch.uint8, generator=generator("x"))


def net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 4))


def floats(images: torch.Tensor) -> torch.Tensor:
    return images.double() / 255 - 0.5
