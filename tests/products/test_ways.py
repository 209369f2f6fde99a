"""Every way of making products gives those of double backward, and the fastest is chosen."""

import copy

import pytest
import torch
from oracles import cross_entropy, dense_hessian, random_vector
from product_nets import (
    NETS,
    ROUNDING,
    TANGENT,
    WITHOUT_FUNC,
    assert_same_product,
    images_and_labels,
    make_net,
    operator,
)
from torch import Tensor, nn

from spectra import InputError


@pytest.mark.parametrize("name", sorted(NETS))
def test_double_backward_is_the_dense_hessian(name):
    if name in WITHOUT_FUNC:
        pytest.skip("the oracle is torch.func, which these nets are there to be refused by")
    model = make_net(name)
    op = operator(model, products="double-backward")
    v = random_vector(op.size, "v")
    expected = dense_products(model, v)
    assert float((op.matvec(v) - expected).norm()) <= ROUNDING * float(expected.norm())


def dense_products(model: nn.Module, v: Tensor) -> Tensor:
    """Return H v from the dense matrix on a chain of few parameters, by torch.func elsewhere."""
    images, labels = images_and_labels()
    if sum(p.numel() for p in model.parameters()) < 1000:
        return dense_hessian(model, images, labels) @ v
    double = copy.deepcopy(model).double()
    names = [n for n, _ in double.named_parameters()]
    point = {n: p.detach() for n, p in double.named_parameters()}

    def loss(named: dict[str, Tensor]) -> Tensor:
        outputs = torch.func.functional_call(double, named, (images.double(),))
        return cross_entropy(outputs, labels).mean()

    pieces = v.split([p.numel() for p in point.values()])
    along = {n: piece.view_as(point[n]) for n, piece in zip(names, pieces, strict=True)}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        _, pull = torch.func.vjp(torch.func.grad(loss), point)
        (moved,) = pull(along)  # H is symmetric
    return torch.cat([moved[n].reshape(-1) for n in names])


@pytest.mark.parametrize("name", sorted(TANGENT))
def test_tangent_pass_gives_the_product_of_double_backward(name):
    model = make_net(name)
    assert_same_product(
        operator(model, products="tangent"), operator(model, products="double-backward")
    )


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_fastest_way_that_serves_is_chosen(name):
    assert operator(name).choice.name == ("tangent" if name in TANGENT else "double-backward")


def test_the_choice_says_nothing_where_the_fastest_way_serves():
    assert operator("conv-bn-relu").choice.reason == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("control-flow-by-shape", "tangent: torch.fx does not trace the forward pass"),
        ("overwritten-value", "tangent: differs from double backward"),
    ],
)
def test_the_choice_says_why_the_tangent_pass_does_not_serve(name, reason):
    assert operator(name).choice.reason == reason


def test_a_way_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match=r"one of tangent, double-backward or auto"):
        operator("no-bias", products="forward")


def test_a_tangent_pass_over_unknown_layers_is_refused():
    with pytest.raises(InputError, match=r"torch\.fx does not trace its forward pass; use auto"):
        operator("control-flow-by-shape", products="tangent")


def test_double_backward_works_on_one_chunk_at_a_time():
    """Torch's autograd is one engine for all threads."""
    assert operator("conv-bn-relu", products="tangent").on_many_cores
    assert not operator("conv-bn-relu", products="double-backward").on_many_cores
