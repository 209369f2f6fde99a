"""At a saddle of a network a step owes its decrease to bending, and beside it a part of it."""

from types import SimpleNamespace

import pytest
import torch
from oracles import cross_entropy, dense_hessian, random_vector
from torch import Tensor, nn

from spectra import Eigenpair, HessianOperator, measure_bending

DOUBLE = torch.float64


class TwoUnits(nn.Module):
    """Two hidden units; its parameters are one vector, (17,)."""

    def __init__(self, point: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(point.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        first, bias, second, last = self.w.split([6, 2, 6, 3])
        hidden = torch.tanh(inputs @ first.view(2, 3).T + bias)
        return hidden @ second.view(3, 2).T + last


DECAY = 0.01
INPUTS = random_vector(120, "inputs", 1).view(40, 3)
LABELS = (INPUTS[:, 0] * INPUTS[:, 1] > 0).long() + (INPUTS[:, 2] > 0.5).long()


def two_units(point: Tensor) -> tuple[HessianOperator, Eigenpair, Eigenpair]:
    """Return the Hessian, weight decay included, and its ends from the dense one."""
    op = HessianOperator(TwoUnits(point), INPUTS, LABELS, dtype=DOUBLE, weight_decay=DECAY)
    matrix = dense_hessian(op.model, INPUTS, LABELS) + DECAY * torch.eye(17, dtype=DOUBLE)
    values, vectors = torch.linalg.eigh(matrix)
    low, high = (Eigenpair(float(values[i]), vectors[:, i], 0.0, True) for i in (0, -1))
    return op, low, high


@pytest.fixture(scope="module")
def saddle() -> Tensor:
    """The best that two equal units can do: stationary, and no minimum (Fukumizu & Amari 2000)."""
    unit, out = (random_vector(n, "unit", n).requires_grad_() for n in (4, 6))
    search = torch.optim.LBFGS(
        [unit, out], max_iter=2000, tolerance_grad=1e-13, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def equal_units() -> Tensor:
        second = out[:3].repeat_interleave(2)
        return torch.cat([unit[:3], unit[:3], unit[3:], unit[3:], second, out[3:]])

    def closure() -> Tensor:
        search.zero_grad()
        w = equal_units()
        outputs = TwoUnits.forward(SimpleNamespace(w=w), INPUTS)
        loss = cross_entropy(outputs, LABELS).mean() + 0.5 * DECAY * w @ w
        loss.backward()
        return loss

    search.step(closure)
    return equal_units().detach()


def test_at_the_saddle_of_a_network_the_true_loss_falls_by_bending(saddle):
    op, low, high = two_units(saddle)
    assert low.value < -1e-2 * high.value
    assert float(op.gradient().norm()) < 1e-7
    found = measure_bending(op, low, radius=0.1, highest=high)
    # ½ |λmin| r², to third order in r.
    assert found.lowered_with == pytest.approx(-low.value * 0.005 / op.loss(), rel=0.1)
    assert found.share > 0.99
    assert "all of it comes from bending" in found.sentence


@pytest.mark.parametrize(("slope", "share"), [(0.3, 0.92), (1.0, 0.5), (3.0, 0.1)])
def test_beside_a_saddle_the_gradient_takes_its_share(saddle, slope, share):
    """Away along v_max by so much that going back is worth slope² times what bending is."""
    _, low, high = two_units(saddle)
    away = slope * 0.1 * (-low.value / high.value) ** 0.5
    op, low, high = two_units(saddle + away * high.vector)
    found = measure_bending(op, low, radius=0.1, highest=high)
    # 1 / (1 + slope²) where the ball has room for both steps; going back takes some of it.
    assert found.share == pytest.approx(share, abs=0.06)
    assert found.believed
