"""The operator's own copy of a network: what it leaves out, and that the caller's stays."""

import pytest
import torch
from image_data import Compiled
from torch import nn

from spectra import OperatorError, class_hessian
from spectra.objective.network.own_calls import OwnCalls
from spectra.objective.network.own_copy import own_copy

DOUBLE = torch.float64


def test_wrappers_anywhere_in_a_network_are_taken_off():
    body = nn.Sequential(Compiled(nn.Linear(2, 2)), nn.DataParallel(nn.Linear(2, 2)))
    copied = own_copy(nn.Sequential(body, nn.Linear(2, 2)), DOUBLE)
    assert [name for name, _ in copied.named_parameters()][::2] == [
        "0.0.weight", "0.1.weight", "1.weight",
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_a_weight_that_was_computed_is_copied():
    model = nn.utils.weight_norm(nn.Linear(3, 2))
    images = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    outputs = model(images)  # leaves a weight with a history
    torch.testing.assert_close(own_copy(model, torch.float32)(images), outputs)
    assert model.weight.grad_fn is not None


class Silent(nn.Linear):
    """Its train() returns nothing."""

    def train(self, mode: bool = True) -> None:
        super().train(mode)


def test_a_network_whose_train_returns_nothing_is_copied_in_eval_mode():
    copied = own_copy(Silent(2, 2), DOUBLE)
    assert isinstance(copied, Silent)
    assert not copied.training


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_torchscript_computes_with_the_parameters_of_the_copy():
    plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    images, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), [0, 1, 0, 1, 0]
    scripted = nn.Sequential(torch.jit.script(plain[:2]), plain[2])
    H, wanted = (
        class_hessian(model, images.double(), labels, None, dtype=DOUBLE)
        for model in (scripted, plain)
    )
    torch.testing.assert_close(H.dense(), wanted.dense(), rtol=0, atol=1e-14)


def test_every_pass_begins_from_the_same_state_and_leaves_the_callers_alone():
    class Counts(nn.Linear):
        passes = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.passes += 1
            return super().forward(x) * self.passes

    model, x = Counts(3, 2), torch.ones(1, 3)
    copied = own_copy(model, torch.float32)
    assert torch.equal(copied(x), copied(x))
    assert model.passes == 0


def test_a_copy_of_a_copy_computes_in_its_own_precision():
    class Casts(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).float()

    single = own_copy(Casts(3, 2), torch.float32)
    assert own_copy(single, DOUBLE)(torch.ones(1, 3, dtype=DOUBLE)).dtype == DOUBLE


@pytest.mark.parametrize("default", [torch.float32, DOUBLE])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_what_a_network_draws_in_no_type_of_its_own_is_in_that_of_the_products(dtype, default):
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        with OwnCalls(dtype, torch.device("cpu")):
            drawn = [torch.rand(2), torch.randn(2), torch.rand(2, dtype=torch.float32)]
            precise = torch.rand(2, dtype=DOUBLE)
    finally:
        torch.set_default_dtype(before)
    assert {one.dtype for one in drawn} == {dtype}
    assert precise.dtype == DOUBLE  # a cast to float64 stays


def test_gradients_and_backward_hooks_of_the_caller_are_no_part_of_a_copy():
    net, called = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), []
    images = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    net[2].register_full_backward_hook(lambda *_: called.append("after"))
    net[2].register_full_backward_pre_hook(lambda *_: called.append("before"))
    net(images).sum().backward()
    called.clear()
    op = class_hessian(net, images, [0, 1, 0, 1, 0], None)
    op @ torch.ones(op.size)
    op.gradient()
    assert not called
    assert all(parameter.grad is None for parameter in op.parameters)
    assert all(parameter.grad is not None for parameter in net.parameters())


class MovesItsWeight(nn.Linear):
    """A forward pass that changes a parameter in place, unseen by torch's version counter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.weight.data.copy_(self.weight.data.flip(0))
        return super().forward(x)


@pytest.mark.parametrize("large", [2**26, 0], ids=["copied", "by fingerprints"])
def test_a_pass_that_changes_a_parameter_is_refused_by_its_name(large, monkeypatch):
    monkeypatch.setattr("spectra.objective.network.forward_state._LARGE", large)
    images = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    fixed = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    torch.testing.assert_close(own_copy(fixed, torch.float32)(images), fixed(images))
    with pytest.raises(OperatorError, match=r"changes the parameter 1\.weight in place"):
        own_copy(nn.Sequential(nn.Linear(3, 2), MovesItsWeight(2, 2)), DOUBLE)(images.double())
