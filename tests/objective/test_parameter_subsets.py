"""The Hessian by some parameters: chosen by name, frozen by the caller, unreached by gradients."""

import logging

import pytest
import torch
from oracles import (
    ULPS,
    cross_entropy,
    dense_hessian,
    hessian_of,
    images_and_labels,
    random_vector,
    refill,
)
from product_nets import make_net
from product_nets import operator as product_operator
from torch import Tensor, nn

from spectra import HessianOperator, InputError, class_hessian

DOUBLE = torch.float64
# Of smooth_mlp: 1.weight 160, 1.bias 5, 3.weight 20, 3.bias 4, 5.weight 12, 5.bias 3.
ENTRIES = {
    "3": [*range(165, 189)],
    "3.*": [*range(165, 189)],
    "*.bias": [*range(160, 165), *range(185, 189), *range(201, 204)],
    "[15].weight": [*range(160), *range(189, 201)],
    "*": [*range(204)],
}
# A net or two of each way of making products.
WAYS = {
    "flatten-first": ("tangent", "*.weight"),
    "conv-bn-relu": ("tangent", "*.bias"),
    "tied-weights": ("tangent", "*.weight"),
    "no-forward-mode": ("tangent", "*.weight"),
    "control-flow-by-value": ("double-backward", "*.weight"),
}


class Spare(nn.Module):
    """A net with two layers that the loss never sees, and a tied one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(32, 4), nn.Linear(4, 3)
        self.spare, self.unused = nn.Linear(4, 4), nn.Linear(2, 2)
        self.tied = nn.Linear(4, 3)
        self.tied.weight = self.out.weight

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x.flatten(1)))
        return self.out(hidden) + self.tied(hidden)


def spare_net() -> tuple[Spare, Tensor, Tensor]:
    return refill(Spare(), "spare"), *images_and_labels(9)


@pytest.mark.parametrize("pattern", ENTRIES)
def test_the_hessian_by_some_parameters_is_their_block_of_the_dense_one(net, pattern):
    entries = torch.tensor(ENTRIES[pattern])
    op = hessian_of(net, parameters=pattern, micro_chunk=5)
    expected = net.hessian[entries][:, entries]
    assert float((op.dense() - expected).abs().max()) <= ULPS * net.scale


@pytest.mark.parametrize("name", WAYS)
def test_every_way_of_making_products_makes_those_of_some_parameters(name):
    way, pattern = WAYS[name]
    model = make_net(name)
    whole, part = product_operator(model), product_operator(model, parameters=pattern)
    assert part.choice.name == way
    v = random_vector(part.size, "v")
    expected = whole.restrict(pattern) @ v
    # Sums of some thousand terms in float64, each side in another order.
    assert float((part @ v - expected).norm()) <= 1e-12 * float(expected.norm())


def test_the_callers_network_keeps_what_requires_a_gradient(net):
    hessian_of(net, parameters="3")
    assert all(p.requires_grad for p in net.model.parameters())


def test_several_patterns_are_taken_together_from_class_hessian_too(net):
    H = class_hessian(net.model, net.images, net.labels, 0, parameters=["5.bias", "1.b*"])
    assert H.names == ["1.bias", "5.bias"]
    assert H.in_float64().names == H.names


@pytest.mark.parametrize("name", ["out", "tied.weight"])
def test_a_tied_parameter_is_found_by_each_of_its_names(name):
    model, images, labels = spare_net()
    op = HessianOperator(model, images, labels, parameters=name, check=False)
    assert "out.weight" in op.names


def test_a_parametrized_weight_goes_by_its_own_name():
    model = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(32, 3)))
    op = HessianOperator(model, *images_and_labels(6), parameters="1.weight", check=False)
    assert op.names == [f"1.parametrizations.weight.original{k}" for k in (0, 1)]


def test_nothing_that_matches_is_one_line_that_lists_the_top_level():
    model, images, labels = spare_net()
    line = r"no parameter matches 'layer3\.\*'; near are .*; at the top are first, out, spare, "
    with pytest.raises(InputError, match=line) as error:
        HessianOperator(model, images, labels, parameters="layer3.*")
    assert "\n" not in str(error.value)


def test_only_frozen_parameters_are_refused():
    model, images, labels = spare_net()
    model.first.requires_grad_(False)
    with pytest.raises(InputError, match="match 'first' have requires_grad=False; set it to True"):
        HessianOperator(model, images, labels, parameters="first")


@pytest.mark.parametrize("products", ["auto", "double-backward"])
def test_parameters_that_no_gradient_reaches_have_rows_of_zeros(products, caplog):
    model, images, labels = spare_net()
    with caplog.at_level(logging.WARNING):
        op = HessianOperator(model, images, labels, dtype=DOUBLE, products=products)
    v, matrix = random_vector(op.size, "v"), dense_hessian(model, images, labels)
    assert float((op @ v - matrix @ v).norm()) <= 1e-12 * float((matrix @ v).norm())
    spare = op.parameter_slices.positions_of(op.parameter_slices.block(["spare", "unused"]).names)
    assert not (op @ v)[spare].any()
    assert (
        "no gradient reaches 4 of 9 parameters, so their rows and columns of the Hessian are zero: "
        "spare.weight, spare.bias, unused.weight, unused.bias"
    ) in caplog.text


def test_frozen_parameters_are_left_out_and_said(caplog):
    model, images, labels = spare_net()
    model.first.requires_grad_(False)
    with caplog.at_level(logging.WARNING):
        op = HessianOperator(model, images, labels, dtype=DOUBLE)
    expected = dense_hessian(model, images, labels)
    assert op.size == len(expected)
    assert float((op.dense() - expected).abs().max()) <= ULPS * float(expected.abs().max())
    assert (
        "not by 2 parameters that have requires_grad=False: first.weight, first.bias" in caplog.text
    )


def test_the_gauss_newton_matrix_by_some_parameters_is_its_block(net):
    G = hessian_of(net).gauss_newton()
    part = hessian_of(net, parameters="3").gauss_newton()
    assert float((part.dense() - G.restrict("3").dense()).abs().max()) <= ULPS * net.scale


def test_the_gradient_by_some_parameters_is_theirs(net):
    model = net.model
    loss = cross_entropy(model.double()(net.images.double()), net.labels).mean()
    wanted = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, model[3].parameters())])
    model.float()
    found = hessian_of(net, parameters="3").gradient()
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)
