"""Attention and its relatives, read in parts, have the products of double backward."""

from collections.abc import Callable

import pytest
import torch
from oracles import cross_entropy, random_vector, refill
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spectra.products import Tuning, make_products
from spectra.products.layers.from_graph import GraphLayer

# Relative: sums of some thousand terms in float64, in another order than torch's.
ROUNDING = 1e-12
BEHIND = torch.ones(6, 6, dtype=torch.bool).triu(1)


class Around(nn.Module):
    """Features of a sequence, a part of the network, and a head."""

    def __init__(self, part: nn.Module, use: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.part, self.use = part, use
        self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.use(self.part, self.first(x).tanh()).mean(1))


def attention(**options: object) -> nn.Module:
    return nn.MultiheadAttention(8, 2, batch_first=True, **options)


def places_first(part: nn.Module, h: Tensor) -> Tensor:
    h = h.transpose(0, 1)
    return part(h, h, h)[0].transpose(0, 1)


def with_its_weights(part: nn.Module, h: Tensor) -> Tensor:
    h, weights = part(h, h, h)
    return h + weights.sum(1).square().unsqueeze(-1)


def with_its_last_state(part: nn.Module, h: Tensor) -> Tensor:
    states, last = part(h)
    return states + last.transpose(0, 1)


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Tensor], Tensor]]] = {
    "self": (attention, lambda part, h: part(h, h, h)[0]),
    "without bias": (lambda: attention(bias=False), lambda part, h: part(h, h, h)[0]),
    "places first": (lambda: nn.MultiheadAttention(8, 2), places_first),
    "weights": (attention, with_its_weights),
    "cross": (attention, lambda part, h: part(h, h.sin(), h.cos(), need_weights=False)[0]),
    "other sizes": (
        lambda: attention(kdim=3, vdim=5), lambda part, h: part(h, h[..., :3], h[..., 3:])[0]
    ),
    "causal": (attention, lambda part, h: part(h, h, h, attn_mask=BEHIND, is_causal=True)[0]),
    "a mask for each head": (
        attention,
        lambda part, h: part(
            h, h, h, attn_mask=(h[..., :1].gt(0.9) | BEHIND).repeat_interleave(2, 0)
        )[0],
    ),
    "padding": (
        attention,
        lambda part, h: part(h, h, h, key_padding_mask=h[..., 0] > 0.9, attn_mask=BEHIND)[0],
    ),
    "encoder": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        lambda part, h: part(h, src_mask=BEHIND),
    ),
    "encoder, norms first": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True),
        lambda part, h: part(h, src_key_padding_mask=h[..., 0] > 0.9),
    ),
    "decoder": (
        lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
        lambda part, h: part(h, h.sin(), tgt_mask=BEHIND),
    ),
    "decoder, norms first": (
        lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True, norm_first=True),
        lambda part, h: part(h, h.sin(), memory_key_padding_mask=h[..., 0] > 0.9),
    ),
    "lstm": (lambda: nn.LSTM(8, 8, 2, batch_first=True), lambda part, h: part(h)[0]),
    "lstm, both ways": (
        lambda: nn.LSTM(8, 4, 2, batch_first=True, bidirectional=True),
        lambda part, h: part(h)[1][0].transpose(0, 1).flatten(1).unflatten(1, (2, 8)),
    ),
    "cell states": (
        lambda: nn.LSTM(8, 8), lambda part, h: part(h.transpose(0, 1))[1][1].transpose(0, 1)
    ),
    "gru": (lambda: nn.GRU(8, 8, batch_first=True), with_its_last_state),
    "rnn": (
        lambda: nn.RNN(8, 8, nonlinearity="relu", bias=False),
        lambda part, h: part(h.transpose(0, 1))[0].transpose(0, 1),
    ),
    "gate": (
        lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GLU()),
        lambda part, h: part(h),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_module_in_its_parts(name):
    make, use = CASES[name]
    with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
        model = refill(Around(make(), use), name).double().eval()
    for frozen in [*model.part.parameters()][1::3]:
        frozen.requires_grad_(False)
    x = random_vector(5 * 6 * 4, "x").view(5, 6, 4)
    labels, weights = torch.arange(5) % 3, torch.linspace(0.5, 2, 5).double()
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    vectors = torch.stack([random_vector(size, i) for i in range(3)])
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        ways = [
            make_products(way, model, cross_entropy, Tuning())
            for way in ("double-backward", "tangent")
        ]
        oracle, kept = (way.linearise(x, labels, weights) for way in ways)
        expected = torch.stack([oracle.product(ways[0].direction(v)) for v in vectors])
        for count in (1, 3):
            found = kept.product(ways[1].direction(vectors[:count].squeeze(0)))
            error = (found - expected[:count].squeeze(0)).norm()
            assert float(error) <= ROUNDING * float(expected.norm())
    # Nothing but what hardly anybody asks for goes through torch's graph.
    layers = [step.layer for step in ways[1].trace.steps]
    through_graph = any(isinstance(layer, GraphLayer) for layer in layers)
    assert not through_graph or name == "cell states"
