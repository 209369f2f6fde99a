"""Estimates of a diagonal, and the errors that they state."""

import numpy as np
import pytest
import torch
from oracles import symmetric_with_spectrum

from spectra import DenseOperator, HessianOperator, InputError, LambdaOperator, make_generator

DOUBLE = torch.float64


def dense(seed: int = 0) -> DenseOperator:
    return DenseOperator(symmetric_with_spectrum(torch.linspace(-3, 5, 60), seed=seed))


def test_a_diagonal_matrix_is_found_exactly():
    entries = torch.linspace(-2, 7, 40, dtype=DOUBLE)
    found = LambdaOperator(lambda v: entries * v, 40).diagonal(num_probes=5)
    assert torch.equal(found.values, entries)
    assert not found.standard_error.any()


def test_the_stated_errors_are_those_of_the_estimator():
    op = dense()
    found = op.diagonal(num_probes=400)
    others = op.matrix - torch.diag(op.matrix.diagonal())
    expected = others.square().sum(1).sqrt() / 400**0.5
    # The spread of 400 values has a relative error of 1/√800, 3.5 %; five of it, over 60 entries.
    torch.testing.assert_close(found.standard_error, expected, rtol=0.18, atol=0)


def test_two_errors_cover_the_dense_diagonal_at_their_rate():
    inside = []
    for seed in range(20):
        op = dense(seed)
        found = op.diagonal(seed=seed)
        off = (found.values - op.matrix.diagonal()).abs()
        inside.append((off <= 2 * found.standard_error).double().mean())
    # Student's t of 63 degrees: 95.0 %. 20 runs of 60 entries, which depend on each other as much
    # as if there were 20 alone: two standard deviations are 10 %, in fact it is 95.1 %.
    assert 0.9 <= float(torch.stack(inside).mean()) <= 0.99


def test_the_mean_over_many_estimates_is_the_diagonal():
    op = dense()
    runs = torch.stack([op.diagonal(num_probes=8, seed=k).values for k in range(200)])
    error = runs.std(0) / 200**0.5
    # Five standard errors over 60 entries.
    assert bool(((runs.mean(0) - op.matrix.diagonal()).abs() <= 5 * error).all())


def test_the_diagonal_of_a_hessian_is_covered_in_float32(trained_nets):
    net = trained_nets["conv_resnet"]
    op = HessianOperator(net.model, net.images, net.labels, micro_chunk=5)
    found = op.diagonal(num_probes=128)
    off = (found.values - net.hessian.diagonal()).abs()
    assert float((off <= 3 * found.standard_error + 1e-6 * net.scale).double().mean()) >= 0.97


def test_a_seed_and_a_label_name_the_probes_and_a_generator_replaces_them(trained_nets):
    net = trained_nets["smooth_mlp"]
    op = HessianOperator(net.model, net.images, net.labels, dtype=DOUBLE, check=False)
    first = op.diagonal(num_probes=2).values
    assert torch.equal(first, op.diagonal(num_probes=2).values)
    for other in (
        op.diagonal(num_probes=2, seed=1),
        op.with_label("8").diagonal(num_probes=2),
        op.diagonal(num_probes=2, generator=make_generator(3)),
    ):
        assert not torch.equal(first, other.values)
    again = op.diagonal(num_probes=2, generator=make_generator(0, "diagonal", ""))
    assert torch.equal(first, again.values)


def test_as_many_products_are_made_as_probes_are_asked_for(trained_nets):
    net = trained_nets["smooth_mlp"]
    op = HessianOperator(net.model, net.images, net.labels, check=False)
    assert op.diagonal(num_probes=7).num_probes == 7
    assert op.count.products == 7 * op.num_images


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    dense().diagonal(num_probes=2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_probes", [1, 0, 2.0, "3", True])
def test_too_few_probes_for_an_error_are_refused(num_probes):
    with pytest.raises(InputError, match="num_probes must be an integer"):
        dense().diagonal(num_probes=num_probes)


def test_numpy_integers_count_probes():
    assert torch.equal(
        dense().diagonal(num_probes=np.int64(4)).values, dense().diagonal(num_probes=4).values
    )
