"""Blocks of the Hessian by the names of parameters."""

import pytest
import torch
from oracles import ULPS, random_vector, symmetric_with_spectrum

from spectra import DenseOperator, HessianOperator, InputError
from spectra.objective.parameter_slices import ParameterSlices

DOUBLE = torch.float64
# Of smooth_mlp: 1.weight 160, 1.bias 5, 3.weight 20, 3.bias 4, 5.weight 12, 5.bias 3.
ENTRIES = {
    "3.*": [*range(165, 189)],
    "*.bias": [*range(160, 165), *range(185, 189), *range(201, 204)],
    "3.weight": [*range(165, 185)],
    "3": [*range(165, 189)],
    "*": [*range(204)],
}


@pytest.fixture
def op(net) -> HessianOperator:
    return HessianOperator(net.model, net.images, net.labels, dtype=DOUBLE, micro_chunk=5)


@pytest.mark.parametrize("pattern", ENTRIES)
def test_a_block_is_that_of_the_dense_hessian(net, op, pattern):
    entries = torch.tensor(ENTRIES[pattern])
    block = op.restrict(pattern)
    expected = net.hessian[entries][:, entries]
    assert float((block.dense() - expected).abs().max()) <= ULPS * net.scale


def test_several_patterns_give_one_block_in_the_order_of_the_network(net, op):
    block = op.restrict(["5.bias", "1.b*", "5.*"])
    assert block.names == ("1.bias", "5.weight", "5.bias")
    assert block.sizes == (5, 12, 3)
    assert block.slices["5.bias"] == slice(17, 20)
    entries = torch.tensor([*range(160, 165), *range(189, 204)])
    expected = net.hessian[entries][:, entries]
    assert float((block.dense() - expected).abs().max()) <= ULPS * net.scale


def test_a_block_of_a_block_is_the_block(op):
    v = random_vector(4, "v")
    inner = op.restrict("3.*").restrict("3.bias")
    assert torch.equal(inner @ v, op.restrict("3.bias") @ v)


def test_blocks_of_the_gauss_newton_matrix_and_of_the_rest_add_up(op):
    G, v = op.gauss_newton(), random_vector(24, "v")
    parts = G.restrict("3.*") @ v + (op - G).restrict("3.*") @ v
    torch.testing.assert_close(parts, op.restrict("3.*") @ v, rtol=0, atol=1e-12)


def test_frozen_parameters_have_no_block(net):
    model = type(net.model)(*net.model)
    model[1].weight.requires_grad_(False)
    try:
        op = HessianOperator(model, net.images, net.labels, dtype=DOUBLE)
        with pytest.raises(InputError, match=r"no parameter matches '1.weight'; near are "):
            op.restrict("1.weight")
    finally:
        model[1].weight.requires_grad_(True)


@pytest.mark.parametrize(
    ("pattern", "near"),
    [("3.wieght", "3.weight"), ("layer3.*", "bias"), ("4", "weight"), ("", "weight")],
)
def test_a_pattern_that_matches_nothing_is_one_line_with_near_names(op, pattern, near):
    line = f"no parameter matches '.*'; near are .*{near}.*; at the top are 1, 3, 5$"
    with pytest.raises(InputError, match=line) as error:
        op.restrict(["1.weight", pattern])
    assert "\n" not in str(error.value)


def test_no_pattern_is_refused(op):
    with pytest.raises(InputError, match="no pattern is given"):
        op.restrict([])


def test_an_operator_of_no_network_has_no_blocks():
    op = DenseOperator(symmetric_with_spectrum(torch.linspace(-1, 1, 4), seed=0))
    with pytest.raises(InputError, match="got DenseOperator; restrict the Hessian"):
        op.restrict("*")


@pytest.mark.parametrize("shape", [(23,), (24, 1), ()])
def test_a_vector_of_another_shape_is_refused(op, shape):
    with pytest.raises(InputError, match=r"vector must have shape \(24,\)"):
        op.restrict("3.*").matvec(torch.ones(shape))


def test_rows_of_another_length_are_refused(op):
    with pytest.raises(InputError, match=r"vectors must have shape \(K, 24\), got \(2, 23\)"):
        op.restrict("3.*").matmat(torch.ones(2, 23))


def test_positions_are_those_of_the_named_parameters():
    slices = ParameterSlices(("a", "b", "c"), tuple(map(torch.Size, [(2, 2), (3,), (1,)])))
    assert slices.positions_of(["a", "c"]).tolist() == [0, 1, 2, 3, 7]
    assert (slices.size, slices.block("?").names) == (8, ("a", "b", "c"))


@pytest.mark.parametrize("given", [3, None, ["1.weight", 3]])
def test_what_is_no_pattern_is_refused(op, given):
    with pytest.raises(InputError, match=r"parameters must be names or globs such as .*, got"):
        op.restrict(given)
