"""Losses of small nets and quadratics as functions of one flat float64 vector.

Their derivatives are exact, by torch.func, apart from the products that the search uses.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.func import grad, jacrev, vjp
from torch.nn import functional as F

from spectra import make_generator

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "relu": torch.relu,
}
SMOOTH = ("tanh", "softplus", "gelu")


class KnownFunction(Protocol):
    """A function of w, shape (P,), float64, with its exact derivatives."""

    @property
    def size(self) -> int: ...

    def value(self, w: Tensor) -> Tensor: ...

    def gradient(self, w: Tensor) -> Tensor: ...

    def product(self, w: Tensor, v: Tensor) -> Tensor: ...

    def dense(self, w: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class NetLoss:
    """Mean cross-entropy of a multilayer perceptron + ½ decay ‖w‖² + tilt·w.

    With ``factors`` the network's parameters are factors * w, entry by entry: the same function in
    other coordinates, as when the layers of a ReLU network are rescaled.

    Attributes:
        widths: of the layers, inputs and classes included.
        activation: a key of :data:`ACTIVATIONS`.
        inputs: (n, widths[0]).
        labels: integers (n,).
    """

    widths: tuple[int, ...]
    activation: str
    inputs: Tensor
    labels: Tensor
    decay: float = 0.0
    tilt: Tensor | None = None
    factors: Tensor | None = None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of weight and bias of each layer, in the order of the flat vector."""
        pairs = zip(self.widths, self.widths[1:], strict=False)
        return [shape for fan_in, fan_out in pairs for shape in ((fan_out, fan_in), (fan_out,))]

    @property
    def size(self) -> int:
        return sum(torch.Size(shape).numel() for shape in self.shapes)

    def pieces(self, w: Tensor) -> list[Tensor]:
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        return [p.view(s) for p, s in zip(w.split(sizes), self.shapes, strict=True)]

    def logits(self, w: Tensor) -> Tensor:
        layers = self.pieces(w if self.factors is None else self.factors * w)
        x = self.inputs
        for k in range(0, len(layers), 2):
            x = x @ layers[k].T + layers[k + 1]
            if k + 2 < len(layers):
                x = ACTIVATIONS[self.activation](x)
        return x

    def value(self, w: Tensor) -> Tensor:
        logits = self.logits(w)
        others = logits - logits.gather(1, self.labels[:, None])
        # log Σ exp(z_c - z_y) without the cancellation that loses a loss of 1e-8.
        others = others.scatter(1, self.labels[:, None], -torch.inf)
        loss = F.softplus(others.logsumexp(1)).mean()
        if self.decay:
            u = w if self.factors is None else self.factors * w
            loss = loss + 0.5 * self.decay * (u @ u)
        return loss if self.tilt is None else loss + self.tilt @ w

    def gradient(self, w: Tensor) -> Tensor:
        return grad(self.value)(w)

    def product(self, w: Tensor, v: Tensor) -> Tensor:
        return vjp(self.gradient, w)[1](v)[0]

    def dense(self, w: Tensor) -> Tensor:
        matrix = jacrev(grad(self.value), chunk_size=128)(w).detach()
        return (matrix + matrix.T) / 2

    def nearest_kink(self, w: Tensor) -> float:
        """Return the smallest |input| of an activation, over units and images."""
        layers = self.pieces(w if self.factors is None else self.factors * w)
        x, nearest = self.inputs, torch.inf
        for k in range(0, len(layers) - 2, 2):
            x = x @ layers[k].T + layers[k + 1]
            nearest = min(nearest, float(x.abs().min()))
            x = ACTIVATIONS[self.activation](x)
        return nearest

    def start(self, generator: torch.Generator, scale: float = 1.0) -> Tensor:
        """Return weights of variance scale² / fan-in, biases of a tenth."""
        drawn = [torch.randn(s, generator=generator, dtype=torch.float64) for s in self.shapes]
        scaled = [x * (x.shape[1] ** -0.5 if x.ndim > 1 else 0.1) * scale for x in drawn]
        return torch.cat([x.reshape(-1) for x in scaled])

    def rescaled(self, factor: float) -> "NetLoss":
        """Return it with the first layer's parameters factor, the last's weight 1/factor as long.

        The biases between are left: only where the network has one hidden layer of ReLU is this
        what rescaled layers are; elsewhere it is another parametrization of the same function.
        """
        factors = [torch.ones(s, dtype=torch.float64) for s in self.shapes]
        factors[0], factors[1] = factors[0] / factor, factors[1] / factor
        factors[-2] = factors[-2] * factor
        return replace(self, factors=torch.cat([f.reshape(-1) for f in factors]))


@dataclass(frozen=True)
class Quadratic:
    """½ wᵀHw + tilt·w, H = Q diag(eigenvalues) Q with Q = Q⁻¹ a reflection: any size at no cost."""

    eigenvalues: Tensor
    mirror: Tensor
    tilt: Tensor

    @property
    def size(self) -> int:
        return len(self.eigenvalues)

    def turned(self, v: Tensor) -> Tensor:
        """Return Q v."""
        return v - 2 * self.mirror * (self.mirror @ v)

    def product(self, w: Tensor, v: Tensor) -> Tensor:
        return self.turned(self.eigenvalues * self.turned(v))

    def value(self, w: Tensor) -> Tensor:
        return 0.5 * w @ self.product(w, w) + self.tilt @ w

    def gradient(self, w: Tensor) -> Tensor:
        return self.product(w, w) + self.tilt

    def dense(self, w: Tensor) -> Tensor:
        q = torch.eye(self.size, dtype=torch.float64) - 2 * torch.outer(self.mirror, self.mirror)
        return (q * self.eigenvalues) @ q


def noisy_data(
    widths: tuple[int, ...], count: int, *names: object, flipped: float = 0.2
) -> tuple[Tensor, Tensor]:
    """Return inputs (count, widths[0]) and labels: long-tailed clusters, some labels wrong.

    With a fifth of the labels wrong no small net separates the classes.
    """
    generator = make_generator(0, "control data", *names)
    classes = widths[-1]
    shares = torch.tensor([0.5**k for k in range(classes)], dtype=torch.float64)
    labels = torch.multinomial(shares, count, replacement=True, generator=generator)
    labels[:classes] = torch.arange(classes)
    centres = torch.randn(classes, widths[0], generator=generator, dtype=torch.float64)
    noise = torch.randn(count, widths[0], generator=generator, dtype=torch.float64)
    inputs = centres[labels] + noise
    wrong = torch.rand(count, generator=generator) < flipped
    labels = torch.where(wrong, torch.randint(classes, (count,), generator=generator), labels)
    return inputs, labels
