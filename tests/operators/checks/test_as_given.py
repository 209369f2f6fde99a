"""A copy that computes something else than the network that was given is refused."""

import weakref

import pytest
import torch
from oracles import dense_hessian
from torch import nn

from spectra import HessianOperator
from spectra.errors import OperatorError

IMAGES, LABELS = torch.linspace(-2, 2, 72).reshape(12, 6).sin(), torch.arange(12) % 3


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)
        self.kept = []


class KeptByALambda(TwoLayers):
    def __init__(self):
        super().__init__()
        self.first.register_forward_hook(lambda module, given, made: self.kept.append(made))

    def forward(self, x):
        self.kept.clear()
        found = self.last(self.first(x).tanh())
        return found + sum(kept[:, :3].sin() for kept in self.kept)


class KeptByAMethod(KeptByALambda):
    def __init__(self):
        TwoLayers.__init__(self)
        self.first.register_forward_hook(self.keep)

    def keep(self, module, given, made):
        self.kept.append(made)


class GateInAClosure(TwoLayers):
    def __init__(self):
        super().__init__()
        self.gate, self.gated = 1.0, lambda z: z * self.gate

    def forward(self, x):
        self.gate = self.first(x).sigmoid().mean()
        return self.last(self.gated(self.first(x).tanh()))


class ReadsItsParent(nn.Module):
    def __init__(self, parent):
        super().__init__()
        self.parent = weakref.ref(parent)

    def forward(self, z):
        return z * self.parent().gate

    def __deepcopy__(self, memo):
        return ReadsItsParent(self.parent())


class AskedThroughAWeakReference(TwoLayers):
    def __init__(self):
        super().__init__()
        self.gate, self.child = 1.0, ReadsItsParent(self)

    def forward(self, x):
        self.gate = self.first(x).sigmoid()
        return self.last(self.child(self.first(x).tanh()))


class OtherInFloat64(TwoLayers):
    def forward(self, x):
        z = self.first(x)
        return self.last(z.tanh() if z.dtype == torch.float32 else z.sin())


@pytest.mark.parametrize(
    "make", [KeptByALambda, GateInAClosure, AskedThroughAWeakReference, OtherInFloat64]
)
def test_a_copy_of_other_outputs_is_refused(make):
    with pytest.raises(OperatorError, match="copy of the network computes other outputs"):
        HessianOperator(make(), IMAGES, LABELS, dtype=torch.float64)


def test_a_copy_of_other_outputs_is_refused_where_the_user_says_how_it_is_called():
    with pytest.raises(OperatorError, match="copy of the network computes other outputs"):
        HessianOperator(
            OtherInFloat64(), IMAGES, LABELS, dtype=torch.float64, forward=lambda net, x: net(x)
        )


def test_a_hook_that_is_a_method_goes_with_the_copy():
    model = KeptByAMethod()
    wanted = dense_hessian(model, IMAGES, LABELS)
    found = HessianOperator(model, IMAGES, LABELS, dtype=torch.float64).dense()
    # Sums of some hundred terms in float64, each side in another order.
    assert float((found - wanted).abs().max()) <= 1e-12 * float(wanted.abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_network_of_any_precision_and_mode_is_taken_and_left(dtype):
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))
    model.to(dtype).train()
    state, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    HessianOperator(model, IMAGES, LABELS)
    assert all(part.training for part in model.modules())
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
