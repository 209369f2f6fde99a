"""An operator at another point: of the network there, while the one at w stays as it is."""

import copy

import pytest
import torch
from oracles import ULPS, build_net, dense_hessian, images_and_labels, random_vector

from spectra import HessianOperator, InputError


@pytest.fixture(params=["smooth_mlp", "mlp_bn", "conv_resnet"])
def net(request):
    return build_net(request.param)


def moved(net, step):
    """Return the network at w + step."""
    there = copy.deepcopy(net).double()
    with torch.no_grad():
        pieces = step.split([p.numel() for p in there.parameters()])
        for parameter, piece in zip(there.parameters(), pieces, strict=True):
            parameter.add_(piece.view_as(parameter))
    return there


def test_its_products_loss_and_gradient_are_those_of_the_network_there(net):
    images, labels = images_and_labels(9)
    op = HessianOperator(net, images, labels, dtype=torch.float64)
    v = random_vector(op.size, "vector")
    before = op.matvec(v)
    step = 0.1 * random_vector(op.size, "step")
    there = op.at(step)
    dense = dense_hessian(moved(net, step), images, labels)
    largest = float(torch.linalg.eigvalsh(dense).abs().max())
    # As for products at w, times the root of P for a vector.
    assert float((there.matvec(v) - dense @ v).norm()) <= 100 * ULPS * largest * float(v.norm())
    with op.moved(step):
        assert there.loss() == op.loss()
        assert torch.equal(there.gradient(), op.gradient())
    assert torch.equal(op.matvec(v), before)


def test_steps_add_up(net):
    op = HessianOperator(net, *images_and_labels(6), dtype=torch.float64)
    one = 0.1 * random_vector(op.size, "one")
    there = op.at(one).at(-one)
    v = random_vector(op.size, "vector")
    # w + s - s is w to an ulp of either.
    torch.testing.assert_close(there.matvec(v), op.matvec(v), rtol=1e-9, atol=1e-9)


def test_float32_goes_to_float64_there(net):
    op = HessianOperator(net, *images_and_labels(6))
    step = 0.1 * random_vector(op.size, "step", dtype=torch.float32)
    v = random_vector(op.size, "vector")
    found, single = op.at(step).in_float64().matvec(v), op.at(step).matvec(v.float()).double()
    # What float32 products are wrong by.
    assert float((found - single).norm()) <= 1e-4 * float(found.norm())


def test_a_step_of_another_size_is_refused(net):
    op = HessianOperator(net, *images_and_labels(4))
    with pytest.raises(InputError, match="step must have shape"):
        op.at(torch.ones(3))
