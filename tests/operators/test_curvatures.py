"""The curvature of each image's loss along a vector."""

import pytest
import torch
from oracles import dense_hessian, random_vector
from product_nets import (
    ROUNDING,
    images_and_labels,
    make_net,
    operator,
)

from spectra.operators.curvatures import by_forward_mode, by_products

DOUBLE = torch.float64


@pytest.mark.parametrize("name", ["option-b", "max-pool", "control-flow-by-shape", "cosine-head"])
def test_both_ways_to_curvatures_agree(name):
    op = operator(name, weights=torch.linspace(0, 2, 7))
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    expected = by_products(op, vectors)
    # Terms of both signs cancel in q; the largest is their size.
    atol = 100 * ROUNDING * float(expected.abs().max())
    torch.testing.assert_close(by_forward_mode(op, vectors), expected, rtol=0, atol=atol)


def test_curvatures_are_those_of_each_images_dense_hessian():
    model = make_net("conv-bn-relu")
    op = operator(model, weights=torch.linspace(0, 2, 7))
    images, labels = images_and_labels()
    v = random_vector(op.size, "v")
    expected = torch.stack(
        [v @ dense_hessian(model, images[i : i + 1], labels[i : i + 1]) @ v for i in range(7)]
    )
    atol = 100 * ROUNDING * float(expected.abs().max())
    torch.testing.assert_close(op.curvatures(v[None])[0], expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["activations", "no-forward-mode"])
def test_the_weighted_mean_of_curvatures_is_that_of_the_whole(name):
    weights = torch.linspace(0, 2, 7, dtype=DOUBLE)
    op = operator(name, weights=weights)
    v = random_vector(op.size, "v")
    mean = float((weights * op.curvatures(v[None])[0]).sum() / weights.sum())
    assert mean == pytest.approx(float(v @ op.matvec(v)), rel=100 * ROUNDING)


@pytest.mark.parametrize("name", ["no-forward-mode", "activations"])
def test_curvatures_without_forward_mode_come_from_products(name):
    op = operator(name)  # SiLU has one derivative in forward mode, not two
    v = random_vector(op.size, "v")[None]
    with pytest.raises(RuntimeError):
        by_forward_mode(op, v)
    assert torch.equal(op.curvatures(v), by_products(op, v))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_curvatures_where_forward_mode_is_wrong_come_from_products(dtype):
    # torch 2.13: forward mode over forward mode of a layer norm is wrong by a tenth.
    op = operator("attention", dtype=dtype, products="double-backward")
    v = random_vector(op.size, "v", dtype=dtype)[None]
    assert torch.equal(op.curvatures(v), by_products(op, v))


def test_an_image_of_weight_zero_has_a_curvature():
    weights = torch.ones(7)
    weights[0] = 0
    op, plain = operator("option-b", weights=weights), operator("option-b")
    v = random_vector(op.size, "v")[None]
    assert torch.equal(op.curvatures(v), plain.curvatures(v))


def test_curvatures_in_float32_are_those_in_float64_to_its_rounding():
    op = operator("option-b", dtype=torch.float32)
    v = random_vector(op.size, "v", dtype=torch.float32)[None]
    found, exact = op.curvatures(v), op.in_float64().curvatures(v.double())
    # Float32 sums of some thousand terms.
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-4 * float(exact.abs().max()))
