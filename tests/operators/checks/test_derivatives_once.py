"""Derivatives are made once in float64: of one graph, and for the checks and the choice alike."""

import pytest
import torch
from planted_errors import images_and_labels
from torch import nn

from spectra import HessianOperator
from spectra.objective.plain_model import in_precision
from spectra.operators.checks.differences import derivatives
from spectra.operators.checks.evidence import Evidence
from spectra.operators.checks.losses import check_losses
from spectra.products import ExactProduct, choose_by

DOUBLE = torch.float64


class Spare(nn.Module):
    """A net with a parameter that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 10))
        self.spare = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.net(x)


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Spare()


def operator(network, **options):
    options = {"dtype": DOUBLE, "products": "double-backward", "check": False} | options
    return HessianOperator(network, *images_and_labels(7, 6), **options)


def test_derivatives_of_one_chunk_are_those_of_several(network):
    one, several = (derivatives(operator(network, micro_chunk=n), 0) for n in (7, 2))
    assert one.reached.tolist() == several.reached.tolist() == [False] + [True] * 4
    # Sums of seven losses in another order: some ulp.
    assert one.value == pytest.approx(several.value, rel=1e-14)
    for name in ("gradient", "slopes", "vector", "product"):
        found, wanted = getattr(one, name), getattr(several, name)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


def test_derivatives_of_one_chunk_are_gradient_and_product_of_the_operator(network):
    op = operator(network)
    found = derivatives(op, 0)
    torch.testing.assert_close(found.gradient, op.gradient(), rtol=0, atol=0)
    torch.testing.assert_close(found.product, op.matvec(found.vector), rtol=0, atol=0)


def test_checks_and_choice_share_one_copy_in_float64(network, monkeypatch):
    copied = []

    def counted(model, dtype, device):
        copied.append(dtype)
        return in_precision(model, dtype, device)

    monkeypatch.setattr("spectra.objective.network.own_copy.in_precision", counted)
    op = operator(network, dtype=torch.float32, products="auto", check=True)
    assert op.choice.name == "tangent"
    assert copied == [torch.float32, DOUBLE]


@pytest.mark.parametrize(("error", "way"), [(0.0, "tangent"), (1e-8, "double-backward")])
def test_a_known_product_is_matched_to_nine_digits(network, error, way):
    op = operator(network)
    vector = torch.linspace(-1, 1, op.size, dtype=DOUBLE)
    product = op.matvec(vector) * op.total_weight * (1 + error)
    known = (op.model, op.sample_losses, op.images, op.labels, op.weights, vector, product)
    assert choose_by(ExactProduct(*known)).name == way


def test_the_first_losses_serve_to_find_the_largest(network):
    op = operator(network, micro_chunk=4)
    torch.testing.assert_close(check_losses(op), op.chunk_losses(slice(0, 4)), rtol=0, atol=0)


@pytest.mark.parametrize(("unexplained", "jumps"), [(1e-7, False), (1e-5, True)])
def test_a_gradient_jumps_by_a_share_of_itself(unexplained, jumps):
    evidence = Evidence(torch.tensor([False, False]))
    evidence.unexplained[:] = unexplained
    # 1e-9 of its length, 1000; a small gradient by 1e-12 at least.
    assert evidence.gradient_jumps(torch.tensor([1e3], dtype=torch.float64)) is jumps
