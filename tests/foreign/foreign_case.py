"""A network as somebody else would write it, what it takes, and products by torch alone."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

DOUBLE = torch.float64
CLASSES = 3


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        make: builds it; draws are from the global generator, which the tests seed.
        inputs: images, tokens or sequences.
        reference: what it computes, by operations that torch differentiates twice and without
            casts; None: the network itself.
        single: relative error that float32 may have; 1e-5 but for a reason beside the network.
    """

    make: Callable[[], nn.Module]
    inputs: str = "images"
    reference: Callable[[nn.Module, Tensor], Tensor] | None = None
    single: float = 1e-5


def batch_of(kind: str) -> tuple[Tensor, Tensor]:
    """Return six inputs and their labels."""
    rng = torch.Generator().manual_seed(1)
    made = {
        "images": lambda: torch.randn(6, 3, 8, 8, generator=rng),
        "tokens": lambda: torch.randint(0, 9, (6, 7), generator=rng),
        "sequences": lambda: torch.randn(6, 5, 4, generator=rng),
        "vectors": lambda: torch.randn(6, 8, generator=rng),
        "volumes": lambda: torch.randn(6, 2, 4, 4, 4, generator=rng),
    }[kind]()
    return made, torch.arange(6) % CLASSES


def built(case: Case) -> nn.Module:
    """Return the network, the same at every call, its weights away from symmetric points."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = case.make()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.is_floating_point():
                    parameter.add_(0.05 * torch.randn(parameter.shape).to(parameter.dtype))
    return model


def copied(model: nn.Module) -> nn.Module:
    """Return a copy in float64 and eval mode; a lock is not copied."""
    lock = vars(model).get("lock")
    double = copy.deepcopy(model, {id(lock): lock}).double()
    double.eval()
    return double


def plain_products(case: Case, model: nn.Module, inputs: Tensor, labels: Tensor) -> Any:
    """Return v to H v of the mean cross-entropy in float64, by double backward of torch alone."""
    double = copied(model)
    trained = [p for p in double.parameters() if p.requires_grad]
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            outputs = (case.reference or (lambda m, x: m(x)))(double, inputs.clone())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    gradients = torch.autograd.grad(
        F.cross_entropy(outputs, labels), trained, create_graph=True, materialize_grads=True
    )
    flat = torch.cat([g.reshape(-1) for g in gradients])

    def product(v: Tensor) -> Tensor:
        pieces = torch.autograd.grad(flat, trained, v, retain_graph=True, materialize_grads=True)
        return torch.cat([p.reshape(-1) for p in pieces])

    return product


class Classifier(nn.Module):
    """Layers, the mean over all places, and a linear layer."""

    def __init__(self, body: nn.Module, width: int, *, channels_last: bool = False) -> None:
        super().__init__()
        self.body, self.head, self.channels_last = body, nn.Linear(width, CLASSES), channels_last

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.head(x.flatten(1, -2).mean(1) if self.channels_last else x.flatten(2).mean(2))


class Wired(nn.Module):
    """Parts by name, and a forward pass that is a function of this module and the input."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.wiring = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.wiring(self, x)


def parameter(*shape: int, scale: float = 0.3) -> nn.Parameter:
    return nn.Parameter(scale * torch.randn(shape))
