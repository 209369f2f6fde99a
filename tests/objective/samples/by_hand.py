"""The dense Hessian of a loss that a test writes down itself, and small networks of odd faces."""

import copy
from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor, nn

DOUBLE = torch.float64
# Relative to the largest entry: some ulp of float64 in sums over a handful of samples.
ROUNDING = 1e-12


def hessian_by_hand(model: nn.Module, mean_loss: Callable[[nn.Module], Tensor]) -> Tensor:
    """Return ∇² of ``mean_loss(model)`` by the parameters, by rows of a double backward pass.

    The model is copied, in float64 and eval mode; ``mean_loss`` calls it as its owner would.
    """
    own = copy.deepcopy(model).double().eval()
    trained = [p for p in own.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(
        mean_loss(own), trained, create_graph=True, materialize_grads=True
    )
    rows = []
    for entry in torch.cat([g.reshape(-1) for g in gradients]):
        row = torch.autograd.grad(entry, trained, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([r.reshape(-1) for r in row]))
    return torch.stack(rows).detach()


def assert_same(found: Tensor, wanted: Tensor, tolerance: float = ROUNDING) -> None:
    scale = float(wanted.abs().max())
    assert scale > 0
    assert float((found - wanted).abs().max()) <= tolerance * scale


class Returns(nn.Module):
    """Returns what ``make`` makes of the outputs of two small layers."""

    def __init__(self, make: Callable[[Tensor], object] = lambda z: z, outputs: int = 3) -> None:
        super().__init__()
        self.body, self.head, self.make = nn.Linear(4, 3), nn.Linear(3, outputs), make
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(torch.linspace(-1, 1, p.numel()).add(0.1 * i).sin().view_as(p))

    def forward(self, images: Tensor) -> object:
        return self.make(self.head(torch.tanh(self.body(images))))


class Reader(nn.Module):
    """A classifier of token sequences with a mask, as libraries of language models write them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 3), nn.Linear(3, 3)
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(torch.linspace(-1, 1, p.numel()).add(0.1 * i).sin().view_as(p))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
        words = torch.tanh(self.embedding(input_ids))
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        mask = attention_mask[..., None].to(words.dtype)
        mean = (words * mask).sum(1) / mask.sum(1)
        return SimpleNamespace(logits=self.head(mean), hidden_states=words)


IMAGES = torch.linspace(-1, 1, 24).reshape(6, 4).sin()
LABELS = torch.tensor([0, 1, 2] * 2)
IDS = torch.arange(30).reshape(6, 5) % 7
MASK = torch.arange(5)[None] < torch.tensor([5, 3, 4, 2, 5, 1])[:, None]
