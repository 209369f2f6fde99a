"""What differences cannot see through: kinks exactly at the point, and casts to float32."""

import logging

import pytest
import torch
import torch.nn.functional as F
from oracles import double_backward, random_vector
from planted_errors import Detached, images_and_labels
from torch import Tensor, nn

from spectra import HessianOperator, OperatorError

DOUBLE = torch.float64
# Relative to ‖H v‖: rounding of some thousand terms.
TOLERANCE = {torch.float32: 1e-5, DOUBLE: 1e-12}
CHECKS = "spectra.operators.checks.derivatives"


def relative_error(op: HessianOperator, model: nn.Module, images: Tensor, labels: Tensor) -> float:
    v = random_vector(op.size, "v", dtype=op.dtype)
    expected = double_backward(model, images, labels)(v)
    return float((op.matvec(v).double() - expected).norm() / expected.norm())


class Residual(nn.Module):
    """A residual block whose last norm starts at 0, as is usual: its sum is x, half of it 0."""

    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6) if norm is nn.BatchNorm2d else nn.GroupNorm(2, 6)
        self.conv = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.conv(x)))


def residual_net(norm: type[nn.Module]) -> nn.Module:
    stem = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.ReLU()
    tail = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10)
    return nn.Sequential(*stem, Residual(norm), *tail)


class PaddedTokens(nn.Module):
    """Layer norm of tokens of which most are zero throughout, and so its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.relu, self.head = nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.norm(x)).mean(1))


def padded_tokens(n: int) -> tuple[Tensor, Tensor]:
    tokens, labels = images_and_labels(n, 6, 8)
    tokens[:, 2:] = 0
    return tokens, labels


@pytest.fixture
def fork():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.GroupNorm])
def test_norms_that_start_at_0_are_a_kink_that_is_said_and_taken_by_convention(
    fork, norm, dtype, caplog
):
    model, (images, labels) = residual_net(norm).eval(), images_and_labels(8, 3, 8, 8)
    op = HessianOperator(model, images.to(dtype), labels, dtype=dtype)
    (said,) = caplog.messages
    assert said.startswith("the loss has a kink exactly at this point: ")
    assert "%) of relu of layer 2 are where its derivative jumps" in said
    assert relative_error(op, model, images, labels) <= TOLERANCE[dtype]


def test_layer_norm_of_padding_is_a_kink_that_names_its_layer_and_share(fork, caplog):
    model, (images, labels) = PaddedTokens(), padded_tokens(8)
    op = HessianOperator(model, images, labels)
    # 4 images of 4 tokens of 8 entries each, of 6 tokens.
    assert "128 inputs (67 %) of relu of layer relu are" in caplog.text
    assert relative_error(op, model, images, labels) <= TOLERANCE[torch.float32]


def test_a_wrong_formula_beside_a_kink_is_refused(fork):
    images, labels = padded_tokens(8)
    with pytest.raises(OperatorError, match=r"is not the derivative of the (loss|gradient)"):
        HessianOperator(nn.Sequential(PaddedTokens(), Detached(0.1)), images, labels)


def test_a_tie_that_moves_apart_is_a_kink_of_an_operation_that_is_not_known(fork, caplog):
    class LargestTwice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(8, 10), nn.Linear(8, 10)
            self.other.load_state_dict(self.one.state_dict())

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.one(x), self.other(x)]).amax(0)

    HessianOperator(LargestTwice(), *images_and_labels(8, 8))
    assert "the gradient jumps exactly at this point" in caplog.text


def test_zeros_that_stay_zeros_are_no_kink(fork, caplog):
    """Black borders through layers without bias, and what a first ReLU made 0 through a second."""
    images, labels = images_and_labels(8, 3, 8, 8)
    images[:, :, :3] = 0
    convolutions = nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 6, 3, bias=False)
    model = nn.Sequential(*convolutions, nn.ReLU(), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10))
    HessianOperator(model, images, labels)
    assert caplog.messages == []


class _SquareInFloat32(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return (2 * x.float() * gradient.float()).to(x.dtype)


class Casting(nn.Module):
    """Computes a gate in float32, or the gradient of a square, whatever it is given."""

    def __init__(self, act: nn.Module, *, backward: bool) -> None:
        super().__init__()
        self.first, self.gate, self.last = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 10)
        self.act, self.backward = act, backward

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        if self.backward:
            return self.last(_SquareInFloat32.apply(self.gate(h)))
        gate = torch.softmax(self.gate(h), -1, dtype=torch.float32)
        return self.last((16 * gate * h.float()).to(x.dtype))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("act", [nn.Tanh(), nn.ReLU()], ids=["tanh", "relu"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_a_network_that_casts_to_float32_inside_is_right(fork, act, dtype, backward, caplog):
    model, (images, labels) = Casting(act, backward=backward), images_and_labels(8, 12)
    op = HessianOperator(model, images.to(dtype), labels, dtype=dtype)
    assert caplog.messages == []
    assert relative_error(op, model, images, labels) <= TOLERANCE[torch.float32]


def test_a_network_that_casts_in_a_backward_pass_is_checked_without_its_casts(fork, caplog):
    with caplog.at_level(logging.INFO, logger=CHECKS):
        HessianOperator(Casting(nn.ReLU(), backward=True), *images_and_labels(8, 12))
    assert caplog.messages == ["checked without the network's own casts: _to_copy"]


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_a_wrong_formula_in_a_network_with_casts_is_refused(fork, dtype, backward):
    images, labels = images_and_labels(8, 12)
    model = nn.Sequential(Casting(nn.Tanh(), backward=backward), Detached(0.1))
    with pytest.raises(OperatorError, match=r"is not the derivative of the (loss|gradient)"):
        HessianOperator(model, images.to(dtype), labels, dtype=dtype)
