"""Networks of which no Hessian is taken: the line that says why names what it is about."""

import pytest
import torch
import torch.nn.functional as F
from foreign_case import Wired, batch_of
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from unusual_models import L, mlp, of_module, script

from spectra import HessianOperator
from spectra.errors import InputError, OperatorError, SpectraError


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * gradient


class Scaled(torch.autograd.Function):
    """The identity, with a reversed gradient."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return -gradient


def python_list() -> nn.Module:
    model = of_module(lambda m, h: torch.tanh(m.layers[0](h)))
    model.layers = [L(6, 6)]
    return model


def computed_before() -> nn.Module:
    model = of_module(lambda m, h: torch.tanh(h @ m.table))
    model.table = model.first.weight[:, :6] * 2
    return model


def elsewhere() -> nn.Module:
    other = L(6, 6)
    return mlp(lambda h: torch.tanh(other(h)))


def clamps(m, h: Tensor) -> Tensor:
    m.last.weight.data.clamp_(-0.1, 0.1)
    return h.tanh()


def in_place(h: Tensor) -> Tensor:
    h = h.exp()
    y = h * h
    h += 1
    return y


def rescaled(m, x: Tensor) -> Tensor:
    ids = torch.arange(3).expand(len(x), 3)
    return m.head(F.embedding(ids, m.table.weight, max_norm=0.1).mean(1) + x[:, :4])


def quantized() -> nn.Module:
    layer = nn.Sequential(L(8, 6), nn.Tanh())
    layer[0] = torch.ao.nn.quantized.dynamic.Linear(8, 6)
    return nn.Sequential(layer, L(6, 3))


# What it is: the network, the error, and what the message says of it.
REFUSED = {
    "no second derivative in TorchScript": (
        lambda: nn.Sequential(script(nn.Sequential(L(8, 6), nn.Hardsigmoid())), L(6, 3)),
        OperatorError, "operation hardsigmoid .* no second derivative",
    ),
    "no second derivative": (
        lambda: mlp(lambda h: torch.segment_reduce(
            h.T.contiguous(), "sum", lengths=torch.tensor([2, 4])).T.repeat(1, 3)),
        OperatorError, "operation segment_reduce .* no second derivative",
    ),
    "once differentiable": (lambda: mlp(Once.apply), OperatorError, "second (derivative|order)"),
    "gradient reversal": (lambda: mlp(Scaled.apply), OperatorError, "not the derivative"),
    "straight through": (
        lambda: mlp(lambda h: h + (h.round() - h).detach() * 3), OperatorError, "straight-through",
    ),
    "layers in a list": (python_list, OperatorError, r"layers\[0\].weight.*nn.ModuleList"),
    "computed before the pass": (computed_before, OperatorError, "of the network: table"),
    "layer of a closure": (elsewhere, SpectraError, "no parameters of the network|same dtype"),
    "weights clamped": (lambda: of_module(clamps), OperatorError, "last.weight in place"),
    "value changed in place": (lambda: mlp(in_place), OperatorError, "in place"),
    "rescaling lookup": (
        lambda: Wired(rescaled, table=nn.Embedding(3, 4), head=L(4, 3)), OperatorError, "max_norm",
    ),
    "random": (lambda: mlp(lambda h: F.dropout(h, training=True)), OperatorError, "random numbers"),
    "batch statistics": (
        lambda: nn.Sequential(L(8, 6), nn.BatchNorm1d(6, track_running_stats=False), L(6, 3)),
        OperatorError, "images beside it",
    ),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), InputError, "0.weight has no shape yet"),
    "meta": (lambda: L(8, 3, device="meta"), InputError, "weight has no values"),
    "quantized": (quantized, InputError, "layer 0.0 is quantized"),
    "complex": (
        lambda: mlp(lambda h: h, spare=nn.Parameter(torch.ones(2, dtype=torch.complex64))),
        InputError, "spare is complex",
    ),
    "wrong shape": (lambda: L(7, 3), SpectraError, "shapes cannot be multiplied"),
    "bug of its own": (lambda: mlp(lambda h: {}["mask"]), SpectraError, "KeyError: 'mask'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore")  # torch deprecates some of what is refused
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_the_message_names_the_operation(name, dtype):
    make, kind, says = REFUSED[name]
    inputs, labels = batch_of("vectors")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with pytest.raises(kind, match=says) as caught:
            HessianOperator(make(), inputs.to(dtype), labels, dtype=dtype)
    assert "\n" not in str(caught.value)
