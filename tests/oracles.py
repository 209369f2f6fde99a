"""What the tests compare with: dense Hessians, prescribed spectra, small nets, exact saddles."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev

from spectra import HessianOperator, make_generator

# Relative to max|λ|: some ulp of float64 in the sum over the 22 images of a trained net.
ULPS = 1e-13


def random_vector(size: int, *names: object, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(size, generator=make_generator(0, *names), dtype=torch.float64).to(dtype)


def symmetric_with_spectrum(eigenvalues: Tensor, *, seed: int) -> Tensor:
    """Return Q diag(eigenvalues) Qᵀ for a random orthogonal Q, exactly symmetric."""
    n = len(eigenvalues)
    generator = make_generator(seed, "rotation")
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    matrix = (q * eigenvalues.double()) @ q.T
    return (matrix + matrix.T) / 2


def hessian_of(net, **options) -> HessianOperator:
    """Return the operator of a trained net, in float64 unless told otherwise."""
    given = {"dtype": torch.float64, **options}
    return HessianOperator(net.model, net.images, net.labels, **given)


def distance(op: HessianOperator, matrix: Tensor) -> float:
    """Return the largest difference of an entry."""
    return float((op.dense() - matrix).abs().max())


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return log Σ exp(o) - o_y, written out."""
    return outputs.logsumexp(1) - outputs[torch.arange(len(labels)), labels]


def dense_hessian(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    weights: Tensor | None = None,
) -> Tensor:
    """Return Σ w_i ∇²ℓ_i / Σ w_i over the trainable parameters, (P, P), float64.

    By torch.func on the whole batch at once; the model runs in eval mode in float64.
    """
    # Not state_dict(), which holds a tied tensor under each of its names.
    tensors = [*model.named_parameters(), *model.named_buffers()]
    state = {k: v.detach().clone() for k, v in tensors}
    state = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    trained = {k: state.pop(k) for k, p in model.named_parameters() if p.requires_grad}
    sizes = [t.numel() for t in trained.values()]
    w = torch.ones(len(labels)) if weights is None else weights
    was_training = {m: m.training for m in model.modules()}
    model.eval()

    def mean_loss(flat: Tensor) -> Tensor:
        pieces = flat.split(sizes)
        named = {k: p.view_as(t) for p, (k, t) in zip(pieces, trained.items(), strict=True)}
        losses = loss(functional_call(model, {**state, **named}, (images.double(),)), labels)
        return (w.double() * losses).sum() / w.double().sum()

    flat = torch.cat([t.reshape(-1) for t in trained.values()])
    try:
        return jacrev(grad(mean_loss), chunk_size=64)(flat).detach()
    finally:
        for module, mode in was_training.items():
            module.training = mode


def double_backward(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> Callable[[Tensor], Tensor]:
    """Return v -> H v of the mean loss in float64, by autograd alone; modules may be shared."""
    double = copy.deepcopy(model).double().eval()
    trained = [p for p in double.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(
        loss(double(images.double()), labels).mean(), trained, create_graph=True
    )

    def product(v: Tensor) -> Tensor:
        pieces = v.double().split([p.numel() for p in trained])
        given = [piece.view_as(p) for piece, p in zip(pieces, trained, strict=True)]
        found = torch.autograd.grad(
            gradients, trained, given, retain_graph=True, materialize_grads=True
        )
        return torch.cat([f.reshape(-1) for f in found])

    return product


def dense_gauss_newton(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the matrix of :func:`gauss_newton_products`, (P, P)."""
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return gauss_newton_products(model, images, labels, torch.eye(size, dtype=torch.float64))


def gauss_newton_products(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    vectors: Tensor,
    *,
    weights: Tensor | None = None,
) -> Tensor:
    """Return G v for each row v: G = Σ w_i J_iᵀ (diag p - p pᵀ) J_i / Σ w_i of cross-entropy.

    Each row of J_i by a backward pass of its own, in float64; p from the outputs.
    """
    double = copy.deepcopy(model).double().eval()
    trained = [p for p in double.parameters() if p.requires_grad]
    w = torch.ones(len(labels)).double() if weights is None else weights.double()
    found = torch.zeros_like(vectors)
    for weight, row in zip(w, double(images.double()), strict=True):
        gradients = [
            torch.autograd.grad(o, trained, retain_graph=True, materialize_grads=True) for o in row
        ]
        jacobian = torch.stack([torch.cat([g.reshape(-1) for g in gs]) for gs in gradients])
        p = row.detach().softmax(0)
        bends = torch.diag(p) - torch.outer(p, p)
        found += weight * vectors @ jacobian.T @ bends @ jacobian
    return found / w.sum()


class Residual(nn.Module):
    """x + f(x), with batch norm inside f."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def build_net(kind: str) -> nn.Module:
    """Return an untrained net for images of 2x4x4 and 3 classes; every draw is from a generator."""
    with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
        model = {
            "softmax": lambda: nn.Sequential(nn.Flatten(), nn.Linear(32, 3)),
            "smooth_mlp": lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(32, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(),
                nn.Linear(4, 3),
            ),
            "mlp_bn": lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(32, 24), nn.BatchNorm1d(24), nn.Tanh(),
                nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 3),
            ),
            "conv_resnet": lambda: nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
                Residual(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
            ),
        }[kind]()  # fmt: skip
    return refill(model, kind)


def refill(model: nn.Module, name: str) -> nn.Module:
    """Draw the parameters anew from the generator that ``name`` seeds; return the model."""
    generator = make_generator(0, "initial weights", name)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.add_(1.0)
    return model


def images_and_labels(n: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return ``n`` float32 images of 2x4x4 and labels 0, 1, 2, 0, ...; all three are present."""
    generator = make_generator(seed, "images", n)
    return torch.randn(n, 2, 4, 4, generator=generator), torch.arange(n) % 3


def train(model: nn.Module, images: Tensor, labels: Tensor, *, steps: int, lr: float) -> nn.Module:
    """Take plain gradient steps on the whole batch, in training mode; return the model."""
    model.train()
    parameters = list(model.parameters())
    for _ in range(steps):
        gradients = torch.autograd.grad(cross_entropy(model(images), labels).mean(), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(lr * gradient)
    return model


class Then(nn.Module):
    """Applies a function to a net's outputs."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.function = net, function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.net(x))


class QuadraticNet(nn.Module):
    """Outputs ½ wᵀAw + bᵀw for every image: with it as the loss, H = A and g = Aw + b."""

    def __init__(self, matrix: Tensor, point: Tensor, slope: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(point.clone())
        self.register_buffer("matrix", matrix.clone())
        self.register_buffer("slope", slope.clone())

    def forward(self, images: Tensor) -> Tensor:
        value = 0.5 * self.w @ (self.matrix @ self.w) + self.slope @ self.w
        return value.expand(len(images), 1)


class ProductNet(nn.Module):
    """Outputs a·b at a = b = 0: a saddle with eigenvalues ±1 and gradient 0."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))
        self.b = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        return (self.a * self.b).expand(len(images), 1)


def first_output(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the first output as the loss of each image."""
    return outputs[:, 0]


def dense_tridiagonal(alphas: np.ndarray, betas: np.ndarray) -> np.ndarray:
    return np.diag(alphas) + np.diag(betas, 1) + np.diag(betas, -1)
