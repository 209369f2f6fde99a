"""Rayleigh quotients in float64 beside float32 products: which of what is said is exact."""

import pytest
import torch
from oracles import build_net, dense_hessian, images_and_labels, random_vector

from spectra import HessianOperator
from spectra.krylov.rayleigh_quotients import quotients_beside_products, rayleigh_quotients
from spectra.krylov.tolerance import Tolerance

KINDS = ("smooth_mlp", "conv_resnet")


@pytest.fixture(params=KINDS)
def known(request):
    """Return an operator in float32, its dense Hessian, and two vectors near its ends."""
    model, (images, labels) = build_net(request.param).eval(), images_and_labels(20)
    op = HessianOperator(model, images, labels, dtype=torch.float32, check=False)
    dense = dense_hessian(op.model, images, labels)
    ends = torch.linalg.eigh(dense).eigenvectors[:, [0, -1]].T
    noise = torch.stack([random_vector(op.size, i) for i in range(2)]) * op.size**-0.5
    return op, dense, ends + 0.1 * noise


def judged(op, vectors):
    products = op.matmat(vectors.to(op.dtype)).double()
    return quotients_beside_products(op, vectors, products, tolerance=Tolerance(0.03))


def test_values_are_those_of_the_dense_hessian_to_float64(known):
    op, dense, vectors = known
    for pair, v in zip(judged(op, vectors).pairs, vectors, strict=True):
        exact = float(v @ dense @ v / (v @ v))
        assert abs(pair.value - exact) <= 1e-12 * pair.scale  # sums in another order


def test_residuals_are_right_to_what_they_say_of_their_rounding(known):
    op, dense, vectors = known
    for pair in judged(op, vectors).pairs:
        y = pair.vector
        exact = float((dense @ y - pair.value * y).norm())
        assert 0 < abs(pair.residual_norm - exact) <= pair.residual_rounding


def test_both_ends_cost_one_float64_product_each_way_of_counting(known):
    op, _, vectors = known
    products = op.matmat(vectors.float()).double()
    before = op.count.total
    quotients_beside_products(op, vectors, products, tolerance=Tolerance(0.03))
    assert op.count.total - before == 2 * op.num_images  # half a product, twice, two vectors


def test_products_that_are_wrong_are_made_again_in_float64(known):
    op, _, vectors = known
    wrong = 1.01 * op.matmat(vectors.float()).double()
    found = quotients_beside_products(op, vectors, wrong, tolerance=Tolerance(0.03))
    expected = rayleigh_quotients(op.in_float64(), vectors, tolerance=Tolerance(0.03))
    torch.testing.assert_close(found.products, expected.products, rtol=0, atol=1e-14)  # an ulp
    assert [p.residual_rounding for p in found.pairs] == [0.0, 0.0]


def test_beside_float64_products_residuals_have_no_rounding_of_their_own():
    model, (images, labels) = build_net("smooth_mlp").eval(), images_and_labels(20)
    op = HessianOperator(model, images, labels, dtype=torch.float64, check=False)
    found = judged(op, torch.stack([random_vector(op.size, i) for i in range(2)]))
    assert found.proven
    assert [p.residual_rounding for p in found.pairs] == [0.0, 0.0]
