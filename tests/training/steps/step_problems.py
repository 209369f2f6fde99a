"""Small problems for the rules of a training step, each with a gradient known in closed form."""

import torch
from torch import Tensor, nn

from checkpoints.training.steps.interface import Batch
from spectra import make_generator

DOUBLE = torch.float64
# Curvatures and slopes of three images' losses ½ a w² + b w on one weight.
A = torch.tensor([2.0, -1.0, 0.5], dtype=DOUBLE)
B = torch.tensor([0.3, 0.7, -0.1], dtype=DOUBLE)
WEIGHTS = torch.tensor([1.0, 2.0, 5.0], dtype=DOUBLE)
SHARES = [1 / 8, 2 / 8, 5 / 8]


class Line(nn.Module):
    """Outputs are the weight itself, .8 at first, once for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.8], dtype=DOUBLE))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.expand(len(x), 1)


def quadratic(outputs: Tensor, labels: Tensor) -> Tensor:
    return 0.5 * A[: len(outputs)] * outputs[:, 0] ** 2 + B[: len(outputs)] * outputs[:, 0]


def slope(image: int, w: float) -> float:
    return float(A[image] * w + B[image])


def plain_slope(w: float) -> float:
    return sum(s * slope(i, w) for i, s in enumerate(SHARES))


def line_batch(model: Line, labels=(0, 0, 1)) -> Batch:
    return Batch(model, torch.zeros(3, 1), torch.tensor(labels), WEIGHTS, quadratic)


def filled(rule_of) -> tuple[float, float]:
    """Return the gradient that a rule puts, and the weight it leaves."""
    model = Line()
    rule_of(list(model.parameters())).fill(line_batch(model), make_generator(0, "noise"))
    return float(model.w.grad), float(model.w.detach())


def softmax_net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def classified() -> tuple[Tensor, Tensor, Tensor]:
    """Return six images for :func:`softmax_net`, their labels and weights."""
    x = torch.randn(6, 4, generator=make_generator(0, "x"), dtype=DOUBLE)
    return x, torch.tensor([0, 2, 2, 0, 1, 2]), torch.linspace(1, 2, 6, dtype=DOUBLE)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, labels, reduction="none")
