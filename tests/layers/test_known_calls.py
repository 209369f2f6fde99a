"""Calls in the forms in which people write them have layers that are written out."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from oracles import cross_entropy, random_vector, refill
from torch import Tensor, nn

from spectra.products import make_products
from spectra.products.layers.from_graph import GraphLayer
from spectra.products.reading.graph import read_graph
from spectra.products.reading.tracer import traced
from spectra.products.tangent.products import TangentProducts

# Relative: sums of some thousand terms in float64, in another order than torch's.
ROUNDING = 1e-12


class Between(nn.Module):
    """A convolution, a function of its output and of parameters, and a head."""

    def __init__(self, function: Callable[..., Tensor], part: nn.Module | None) -> None:
        super().__init__()
        self.function, self.part = function, part
        self.first, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.weight, self.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
        self.register_buffer("mean", torch.linspace(-1, 1, 4))
        self.register_buffer("variance", torch.linspace(0.5, 2, 4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.function(self, self.first(x).tanh())
        return self.head(h.mean((2, 3)))


def in_rows(function: Callable[[nn.Module, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return a function of channels last."""
    return lambda net, h: function(net, h.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "layer norm": in_rows(lambda net, h: F.layer_norm(h, (4,), net.weight, net.bias)),
    "layer norm, bare": in_rows(lambda net, h: F.layer_norm(h, [4])),
    "rms norm": in_rows(lambda net, h: F.rms_norm(h, (4,), net.weight)),
    "group norm": lambda net, h: F.group_norm(h, 2, net.weight, net.bias, 1e-3),
    "instance norm": lambda net, h: F.instance_norm(h, weight=net.weight, bias=net.bias),
    "batch norm": lambda net, h: F.batch_norm(h, net.mean, net.variance, net.weight, net.bias),
    "unit length": lambda net, h: F.normalize(h, dim=1),
    "softmax": lambda net, h: F.softmax(h, dim=1) + h.softmax(-1) + torch.log_softmax(h, 1),
    "methods": lambda net, h: h.sigmoid() * h.exp() + h.square() - h.pow(3) + h.abs(),
    "in place": lambda net, h: (h + 1).relu_() + (h * 2).sigmoid_(),
    "numbers first": lambda net, h: 1 - h + 2**h + 1 / (3 + h) - (2 - h.tanh()) / 4,
    "numbers last": lambda net, h: (h**2 + 3.0) / 2 - h * 0.5 + h.clamp(-0.5, 0.5),
    "two values": lambda net, h: torch.add(h, h.cos(), alpha=2) * h.sin() / (2 + h),
    "parameters": lambda net, h: h * net.weight[:, None, None] - net.bias.view(1, 4, 1, 1),
    "gates": lambda net, h: F.silu(h) * h.mean((2, 3), keepdim=True).sigmoid(),
    "quick gelu": lambda net, h: h * torch.sigmoid(1.702 * h),
    "hard": lambda net, h: F.hardswish(3 * h) + F.relu6(h) + F.hardtanh(h, -0.3, 0.3),
    "leaky": lambda net, h: F.leaky_relu(h, 0.2) + F.elu(h) + F.prelu(h, net.weight),
    "masks": lambda net, h: (
        h.masked_fill(h < 0.1, 0.3) + torch.where(h > 0, h**2, 1.0) * torch.where(h > 0.2, 0, h)
    ),
    "broadcast by a mask": lambda net, h: h * torch.where(net.mean > 0, net.weight[:1], 2.0).sum(),
    "linear": in_rows(lambda net, h: F.linear(h, net.head.weight.T @ net.head.weight, net.bias)),
}
PARTS: dict[str, Callable[[], nn.Module]] = {
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, affine=True),
    "InstanceNorm2d, averages": lambda: nn.InstanceNorm2d(4, track_running_stats=True),
    "BatchNorm2d": lambda: nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)),
    "SyncBatchNorm": lambda: nn.SyncBatchNorm(4),
    "LayerNorm": lambda: nn.LayerNorm([4, 3, 3], bias=False),
    "RMSNorm": lambda: nn.RMSNorm(3),
    "PReLU": lambda: nn.Sequential(nn.PReLU(), nn.PReLU(4)),
    "activations": lambda: nn.Sequential(
        nn.GELU(), nn.SiLU(inplace=True), nn.Hardswish(), nn.SELU(), nn.CELU(), nn.Mish(),
        nn.Softsign(), nn.LogSigmoid(), nn.Softplus(2.0), nn.Hardtanh(-1, 1), nn.Threshold(0, 0),
    ),
    "softmax": lambda: nn.Sequential(nn.Softmax(1), nn.LogSoftmax(-1)),
}  # fmt: skip
CASES = {
    **{name: (function, None) for name, function in FUNCTIONS.items()},
    **{f"nn.{name}": (lambda net, h: net.part(h), make) for name, make in PARTS.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_a_call_has_a_layer_of_its_own(name):
    function, make = CASES[name]
    with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
        model = refill(Between(function, make() if make else None), name).double().eval()
    x = random_vector(5 * 3 * 25, "x").view(5, 3, 5, 5)
    labels, weights = torch.arange(5) % 3, torch.linspace(0.5, 2, 5).double()
    size = sum(p.numel() for p in model.parameters())
    vectors = torch.stack([random_vector(size, i) for i in range(3)])
    names = {id(p): n for n, p in model.named_parameters()}
    trace = read_graph(*traced(model), names)
    oracle = make_products("double-backward", model, cross_entropy)
    tangent = TangentProducts(model, trace, cross_entropy)
    kept = oracle.linearise(x, labels, weights)
    expected = torch.stack([kept.product(oracle.direction(v)) for v in vectors])
    kept = tangent.linearise(x, labels, weights)
    for count in (1, 3):
        found = kept.product(tangent.direction(vectors[:count].squeeze(0)))
        error = (found - expected[:count].squeeze(0)).norm()
        assert float(error) <= ROUNDING * float(expected.norm())
    assert GraphLayer not in {type(step.layer) for step in trace.steps}
