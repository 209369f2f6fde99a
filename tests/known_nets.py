"""Two hundred stationary points whose Hessian, and so whose name, is known."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from oracles import (
    QuadraticNet,
    build_net,
    cross_entropy,
    dense_hessian,
    first_output,
    images_and_labels,
    refill,
    symmetric_with_spectrum,
    train,
)
from torch import Tensor, nn

from spectra import make_generator

TAU = 1e-3
# Which family the cases of a block of ten belong to: any run of ten has them in this proportion.
BLOCK = ("net", "softmax", "hair", "net", "quadratic", "net", "softmax", "hair", "net", "psd")
# λmin of the "hair" cases in units of -τλmax: -1e-5 λmax, -1e-4 λmax, and on towards the border
# and past it.
HAIRS = (0.01, 0.1, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0)


@dataclass(frozen=True)
class KnownCase:
    """A stationary point in float64 with its dense Hessian.

    ``steps`` is how far a Lanczos run on it shall go: P, or less for every third case.
    """

    family: str
    model: nn.Module
    images: Tensor
    labels: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    hessian: Tensor
    eigenvalues: Tensor
    steps: int

    @property
    def lambda_min(self) -> float:
        return float(self.eigenvalues[0])

    @property
    def lambda_max(self) -> float:
        return float(self.eigenvalues[-1])

    @property
    def is_negative(self) -> bool:
        return self.lambda_min < -TAU * max(self.lambda_max, 0.0)


class TiltedNet(nn.Module):
    """Outputs [logits, cᵀw]: under ``tilted_loss`` the gradient is that of the logits' plus c."""

    def __init__(self, net: nn.Module, slopes: dict[str, Tensor]) -> None:
        super().__init__()
        self.net = net
        self.names = list(slopes)
        for k, slope in enumerate(slopes.values()):
            self.register_buffer(f"slope{k}", slope)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        parameters = dict(self.net.named_parameters())
        terms = [
            (getattr(self, f"slope{k}") * parameters[name]).sum()
            for k, name in enumerate(self.names)
        ]
        return torch.cat([logits, torch.stack(terms).sum().expand(len(images), 1)], dim=1)


def tilted_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return cross-entropy of all outputs but the last, plus the last."""
    return cross_entropy(outputs[:, :-1], labels) + outputs[:, -1]


def made_stationary(net: nn.Module, images: Tensor, labels: Tensor) -> TiltedNet:
    """Return ``net`` in float64 with the linear term that makes its gradient vanish; H stays."""
    net = net.double().eval()
    parameters = dict(net.named_parameters())
    loss = cross_entropy(net(images.double()), labels).mean()
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    slopes = {name: -g.detach() for name, g in zip(parameters, gradients, strict=True)}
    return TiltedNet(net, slopes)


def known_cases(indices: range) -> list[KnownCase]:
    """Return the cases with these numbers, 0 to 199; each depends on its number alone."""
    return [_case(index) for index in indices]


def _case(index: int) -> KnownCase:
    family = BLOCK[index % len(BLOCK)]
    if family in ("net", "softmax"):
        return _tilted_case(family, index)
    return _quadratic_case(family, index)


def _tilted_case(family: str, index: int) -> KnownCase:
    images, labels = images_and_labels(22, seed=index)
    if family == "softmax":
        model = build_net("softmax")
    elif index % 40 == 0:
        model = build_net("conv_resnet")
    elif index % 2:
        model = build_net("smooth_mlp")
    else:
        model = nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.Tanh(), nn.Linear(6, 3))
    model = train(refill(model, f"known {index}"), images, labels, steps=index % 20, lr=0.3)
    tilted = made_stationary(model, images, labels)
    matrix = dense_hessian(tilted, images, labels, loss=tilted_loss)
    return _known(family, index, tilted, images, labels, tilted_loss, matrix)


def _quadratic_case(family: str, index: int) -> KnownCase:
    generator = make_generator(index, "known spectrum")
    size = 30 + 10 * (index % 7)
    # Positive, over four decades below λmax: a bulk near zero and a few outliers, as nets have.
    eigenvalues = 10 ** (-4 * torch.rand(size, generator=generator, dtype=torch.float64))
    eigenvalues[-1] = 1.0
    if family == "hair":
        eigenvalues[0] = -TAU * HAIRS[(index // 5) % len(HAIRS)]
    elif family == "quadratic":
        count = 1 + index % 5
        eigenvalues[:count] = -(10 ** (-1.5 * torch.rand(count, generator=generator).double()))
    matrix = symmetric_with_spectrum(eigenvalues, seed=index)
    point = torch.randn(size, generator=generator, dtype=torch.float64)
    model = QuadraticNet(matrix, point, -matrix @ point)
    images, labels = images_and_labels(3)
    return _known(family, index, model, images, labels, first_output, matrix)


def _known(
    family: str,
    index: int,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    matrix: Tensor,
) -> KnownCase:
    matrix = (matrix + matrix.T) / 2
    size = len(matrix)
    steps = size // 2 if index % 3 == 2 else size
    eigenvalues = torch.linalg.eigvalsh(matrix)
    return KnownCase(family, model, images, labels, loss, matrix, eigenvalues, steps)
