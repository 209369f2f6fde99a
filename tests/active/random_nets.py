"""Small networks of many kinds, drawn from a seed, with dense float64 Hessians."""

from dataclasses import dataclass

import torch
from oracles import cross_entropy
from torch import Tensor, nn

from spectra import HessianOperator, make_generator

ACTIVATIONS = (nn.Tanh, nn.ReLU, nn.GELU, nn.Softplus, nn.SiLU)
IMAGES = (10, 20, 40, 80, 200, 400)
STEPS = (0, 0, 30, 300, 1000)  # of training: fresh, on the way, fitted
FEWEST, MOST = 20, 300  # parameters


def squares(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the squared distance to the one-hot label."""
    return (outputs - nn.functional.one_hot(labels, outputs.shape[1])).square().sum(1)


@dataclass(frozen=True)
class RandomNet:
    """A network of 20 to 300 parameters at two points of its training.

    Attributes:
        now: its Hessian, float32 or float64.
        before: that of a few training steps earlier.
        eigenvalues: of ``now``, by a dense float64 Hessian, rising.
    """

    now: HessianOperator
    before: HessianOperator
    eigenvalues: Tensor


def random_net(seed: int) -> RandomNet:
    """Return the network of ``seed``."""
    generator = make_generator(seed, "random net")

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    inputs, classes, model = 0, 0, nn.Sequential()
    while not FEWEST <= sum(p.numel() for p in model.parameters()) <= MOST:
        inputs, classes = draw(2, 10), draw(2, 5)
        model = _network(inputs, [draw(2, 15) for _ in range(draw(1, 3))], classes, draw(0, 4))
    with torch.no_grad():
        for p in model.parameters():
            size = p[0].numel() ** -0.5 if p.ndim > 1 else 0.1
            p.copy_(size * torch.randn(p.shape, generator=generator))
    # The library's cross-entropy, the usual formula, whose float32 cancels, or squares.
    n, kind = IMAGES[draw(0, 5)], draw(0, 3)
    given = {0: {}, 1: {}, 2: {"loss": cross_entropy}, 3: {"loss": squares}}[kind]
    loss = squares if kind == 3 else cross_entropy
    images = torch.randn(n, inputs, generator=generator)
    labels = (images @ torch.randn(inputs, classes, generator=generator)).argmax(1)
    if draw(0, 1):
        labels = torch.randint(0, classes, (n,), generator=generator)
    dtype = torch.float64 if seed % 3 == 0 else torch.float32
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    points = []
    for steps in (STEPS[draw(0, 4)], draw(1, 40)):
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(images), labels).mean().backward()
            optimizer.step()
        points.append(HessianOperator(model, images, labels, dtype=dtype, check=False, **given))
    before, now = points
    dense = now.in_float64().dense()
    return RandomNet(now, before, torch.linalg.eigvalsh((dense + dense.T) / 2))


def _network(inputs: int, widths: list[int], classes: int, activation: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
        for width in widths:
            layers += [nn.Linear(inputs, width), ACTIVATIONS[activation]()]
            inputs = width
        return nn.Sequential(*layers, nn.Linear(inputs, classes))
