"""Parts of the images, float64 beside float32, and what is counted."""

import copy

import pytest
import torch
from oracles import random_vector
from product_nets import (
    ROUNDING,
    assert_same_product,
    images_and_labels,
    make_net,
    operator,
)
from torch import nn

from spectra import InputError

DOUBLE = torch.float64


def test_parts_of_a_partition_sum_to_the_whole():
    weights = torch.linspace(0.5, 2, 7, dtype=DOUBLE)
    op = operator("activations", weights=weights)
    v = random_vector(op.size, "v")
    parts = [op.over_images(torch.tensor(i)) for i in ([4, 0, 2], [1], [6, 3, 5])]
    expected = op.matvec(v)
    error = float((sum(part.matvec(v) for part in parts) - expected).norm())
    assert error <= ROUNDING * float(expected.norm())


def test_a_part_keeps_the_weight_of_the_whole():
    op = operator("no-bias", weights=torch.arange(1.0, 8.0))
    part = op.over_images(torch.tensor([2, 5]))
    assert (part.total_weight, part.weights.tolist()) == (28.0, [3.0, 6.0])


def test_a_part_does_not_use_the_kept_work_of_the_whole():
    op, index = operator("no-bias"), torch.tensor([6, 5, 4])
    v = random_vector(op.size, "v")
    expected = op.over_images(index).matvec(v)
    op.matvec(v)
    assert torch.equal(op.over_images(index).matvec(v), expected)


def test_parts_and_the_whole_keep_work_within_one_budget():
    op = operator("no-bias", micro_chunk=1)
    v = random_vector(op.size, "v")
    op.matvec(v)
    chunk = op._kept.nbytes // op.num_images
    op.forget()
    op = op.with_memory_budget(4 * chunk)
    part = op.over_images(torch.tensor([0, 1, 2]))
    part.matvec(v)
    op.matvec(v)
    assert (part._kept.nbytes, op._kept.nbytes) == (3 * chunk, chunk)
    part.forget()
    op.matvec(v)
    assert (part._kept.nbytes, op._kept.nbytes) == (0, 4 * chunk)
    del part
    op.forget()
    other = op.over_images(torch.tensor([3, 4]))
    other.matvec(v)
    del other  # what is gone takes nothing
    op.matvec(v)
    assert op._kept.nbytes == 4 * chunk


def test_a_part_in_float64_keeps_the_weight_of_the_whole():
    op = operator("activations", dtype=torch.float32)
    double = op.over_images(torch.tensor([1, 2])).in_float64()
    expected = operator("activations").over_images(torch.tensor([1, 2]))
    assert double.total_weight == 7.0
    assert_same_product(double, expected)


def test_products_in_float64_count_double_in_the_shared_count():
    op = operator("no-bias", dtype=torch.float32)
    double = op.in_float64()
    assert double.count is op.count
    op.matvec(torch.ones(op.size))
    double.matmat(torch.ones(2, op.size, dtype=DOUBLE))
    assert (op.count.products, op.count.double_products) == (7, 14)
    assert op.count.total == 7 + 2 * 14


def test_an_operator_in_float64_is_its_own_double_and_counts_once():
    op = operator("no-bias")
    assert op.in_float64() is op
    op.matvec(torch.ones(op.size, dtype=DOUBLE))
    assert op.count.total == 7


def test_six_forward_passes_count_as_one_product():
    op = operator("no-bias")
    for _ in range(6):
        op.scores()
    assert op.count.total == 7


def test_parts_count_with_the_whole():
    op = operator("no-bias")
    op.over_images(torch.tensor([0, 1])).matvec(torch.ones(op.size, dtype=DOUBLE))
    assert op.count.products == 2


def test_scores_are_the_weighted_distances_of_probabilities_from_the_label():
    model, weights = make_net("activations"), torch.linspace(0, 2, 7, dtype=DOUBLE)
    op = operator(model, weights=weights)
    images, labels = images_and_labels()
    with torch.no_grad():
        probabilities = copy.deepcopy(model).double()(images.double()).softmax(1)
    distance = (probabilities - nn.functional.one_hot(labels, 4)).norm(dim=1)
    # Entries below 2; some ulp.
    torch.testing.assert_close(op.scores(), weights * distance, rtol=0, atol=1e-14)


def test_scaled_products_are_the_products_in_float64():
    op = operator("activations", dtype=torch.float32)
    vectors = torch.stack([random_vector(op.size, i, dtype=torch.float32) for i in range(2)])
    products, _ = op.scaled_products(vectors)
    assert products.dtype == DOUBLE
    assert torch.equal(products.float(), op.matmat(vectors))


def test_scales_are_the_sums_of_the_norms_of_chunks():
    op = operator("activations", weights=torch.linspace(0.5, 2, 7))
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    _, scales = op.scaled_products(vectors)
    norms = [[op.chunk_product(c, v).norm() for c in op.chunks()] for v in vectors]
    expected = torch.tensor(norms, dtype=DOUBLE).sum(1) / op.total_weight
    torch.testing.assert_close(scales, expected, rtol=ROUNDING, atol=0)


def test_one_chunk_has_the_norm_of_its_product_as_scale():
    op = operator("activations", micro_chunk=7)
    products, scales = op.scaled_products(random_vector(op.size, "v")[None])
    torch.testing.assert_close(scales, products.norm(dim=1), rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("method", ["matmat", "scaled_products", "curvatures"])
@pytest.mark.parametrize("shape", [(5,), (2, 5)])
def test_vectors_of_another_shape_are_refused(method, shape):
    op = operator("no-bias")
    with pytest.raises(InputError, match=rf"\(K, {op.size}\), got"):
        getattr(op, method)(torch.ones(shape))
