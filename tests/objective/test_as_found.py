"""The operator's network is, after each pass, as it was before."""

import copy

import pytest
import torch
from oracles import double_backward, random_vector
from torch import Tensor, nn

from spectra import HessianOperator, OperatorError
from spectra.objective.network.as_found import parameters_replaced
from spectra.products.reading.read import read

DOUBLE = torch.float64


class Block(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Scale(nn.Module):
    def __init__(self, factor: nn.Parameter) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def shared_activation() -> nn.Module:
    act = nn.PReLU()
    return nn.Sequential(nn.Linear(4, 5), act, nn.Linear(5, 5), act, nn.Linear(5, 3))


def shared_linear() -> nn.Module:
    linear = nn.Linear(4, 4)
    return nn.Sequential(linear, nn.Tanh(), linear, nn.Tanh(), nn.Linear(4, 3))


def shared_norm_in_blocks() -> nn.Module:
    linear, norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
    blocks = Block(linear, norm, nn.Tanh()), Block(linear, norm, nn.Tanh())
    return nn.Sequential(*blocks, nn.Linear(4, 3))


def shared_convolution() -> nn.Module:
    conv, norm = nn.Conv1d(2, 2, 3, padding=1), nn.BatchNorm1d(2)
    first = nn.Sequential(nn.Unflatten(1, (2, 2)), conv, norm, nn.ReLU())
    return nn.Sequential(first, conv, norm, nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))


def shared_parameter() -> nn.Module:
    factor = nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 1.0]))
    return nn.Sequential(Scale(factor), nn.Linear(4, 4), nn.Tanh(), Scale(factor), nn.Linear(4, 3))


SHARED = [
    shared_activation, shared_linear, shared_norm_in_blocks, shared_convolution, shared_parameter,
]  # fmt: skip


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 4, generator=generator), torch.arange(8) % 3


@pytest.mark.parametrize("way", ["auto", "double-backward"])
@pytest.mark.parametrize("make", SHARED)
def test_a_module_used_twice_counts_twice_and_stays_itself(data, make, way):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make().eval()
    op = HessianOperator(model, *data, dtype=DOUBLE, products=way)
    v = random_vector(op.size, "twice")
    expected = double_backward(model, *data)(v)
    size = float(expected.norm())
    for _ in range(2):  # the second pass meets what the first one left
        product, bends, gradient = op.matvec(v), op.curvatures(v[None]), op.gradient()
        # Sums of some hundred terms in float64.
        assert float((product - expected).norm()) <= 1e-12 * size
        assert abs(float(bends.mean() - v @ expected)) <= 1e-12 * size * float(v.norm())
        assert float(gradient.norm()) > 0
    assert {type(p) for p in op.model.parameters()} == {nn.Parameter}


class KeepsItsFeatures(nn.Module):
    """Keeps what a forward pass made, and computes with it in the next one if it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.mask = nn.Linear(4, 5), nn.Linear(5, 3), None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = torch.ones_like(x)
        return self.last(torch.tanh(self.first(x * self.mask)))


def test_tracing_leaves_no_symbol_in_a_network_that_keeps_what_it_made():
    model = KeepsItsFeatures().eval()
    before = dict(vars(model))
    assert read(model) is not None
    assert vars(model) == before


class NormInSingle(nn.Module):
    """As the norms of transformers, which compute in float32 whatever the type of their input."""

    def forward(self, x: Tensor) -> Tensor:
        single = x.to(torch.float32)
        return (single * torch.rsqrt(single.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def test_tracing_leaves_a_network_behind_a_function_its_own_precision():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), NormInSingle(), nn.Linear(5, 3))
    images, labels = (
        torch.randn(6, 4, generator=torch.Generator().manual_seed(0)),
        torch.arange(6) % 3,
    )
    op = HessianOperator(model, images, labels, dtype=DOUBLE, forward=lambda m, x: m(x))
    outputs = op.model(images.double())
    exact = copy.deepcopy(model).double()
    hidden = exact[0](images.double())
    hidden = hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + 1e-6)
    # Rounding of float64, where float32 leaves 1e-7.
    torch.testing.assert_close(outputs, exact[2](hidden), rtol=0, atol=1e-13)


def call_with_a_failing_replacement(model: nn.Module) -> None:
    with parameters_replaced(model, {"1.weight": torch.ones(1)}):
        assert model[3].weight is model[1].weight
        assert type(model[1].weight) is Tensor
        raise ZeroDivisionError


def test_parameters_are_back_where_a_pass_fails():
    model = shared_activation()
    before = dict(model.named_parameters(remove_duplicate=False))
    with pytest.raises(ZeroDivisionError):
        call_with_a_failing_replacement(model)
    after = dict(model.named_parameters(remove_duplicate=False))
    assert {name: id(p) for name, p in after.items()} == {name: id(p) for name, p in before.items()}


class ReplacesItsWeight(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        self.weight = nn.Parameter(self.weight * 1.0)
        return super().forward(x)


def test_a_network_that_replaces_a_parameter_is_refused_by_its_name(data):
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), ReplacesItsWeight(5, 3))
    with pytest.raises(OperatorError, match=r"in the place of its parameter 2\.weight"):
        HessianOperator(model, *data)
