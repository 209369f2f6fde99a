"""PyHessian's recurrence written out: what it is equal to, and what each change of it does."""

import numpy as np
import pytest
import torch
from augmented import cut, floats, generator, net, pictures
from oracles import random_vector

from checkpoints.data import ImageProtocol
from spectra import FreshOperator, HessianOperator, InputError, Lanczos, PyHessianOperator
from spectra.engines.published_recurrence import (
    AFTER,
    ALPHAS_ZERO,
    BEFORE,
    PUBLISHED,
    VARIANTS,
    WITHOUT_RETURNED,
    published_recurrence,
)
from spectra.engines.pyhessian import its_start
from spectra.operators.fresh import FreshBatches

FRESH = ImageProtocol.parse("fresh", crop=1, flip=True)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def loss(dtype: torch.dtype) -> HessianOperator:
    images = floats(cut(ImageProtocol.parse("plain"), pictures(6))).to(dtype)
    return HessianOperator(net().to(dtype), images, LABELS, dtype=dtype, check=False)


def draws(dtype: torch.dtype):
    return FRESH.fresh(pictures(6), lambda x: floats(x).to(dtype), generator())


@pytest.mark.parametrize("images", ["plain", "fresh"])
def test_in_its_arithmetic_it_is_pyhessian_to_the_last_bit(images):
    def products() -> PyHessianOperator:
        if images == "plain":
            return PyHessianOperator(op)
        return PyHessianOperator(op, FreshBatches(draws(torch.float32), torch.arange(6), 4))

    op = loss(torch.float32)
    theirs = products().density(num_probes=1, num_steps=30, seed=5).probes[0]
    ours = published_recurrence(products(), its_start(op, 5), num_steps=30, arithmetic=PUBLISHED)
    np.testing.assert_array_equal(ours.alphas, theirs.alphas)
    np.testing.assert_array_equal(ours.betas_before[:-1], theirs.betas)


def test_beta_after_is_our_lanczos_over_the_same_draws():
    op, start = loss(torch.float64), random_vector(loss(torch.float64).size, "start")
    run = published_recurrence(FreshOperator(op, draws(torch.float64)), start, num_steps=40)
    lanczos = Lanczos(FreshOperator(op, draws(torch.float64)), start)
    lanczos.run(40)
    # Both are float64 and orthogonalise twice; 40 steps of products that change amplify rounding
    # some thousandfold.
    for ours, theirs in (
        (run.alphas, lanczos.tridiagonal().alphas),
        (run.betas_after[:-1], lanczos.tridiagonal().betas),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * abs(theirs).max())


def test_of_a_fixed_matrix_every_beta_is_the_same_and_nothing_comes_back():
    op = loss(torch.float64)
    run = published_recurrence(op, random_vector(op.size, "start"), num_steps=20)
    largest = run.betas_before.max()
    # Rounding of float64, some units of 2^-53 of the largest β a vector.
    np.testing.assert_allclose(run.betas_after, run.betas_before, rtol=0, atol=1e-12 * largest)
    assert abs(run.returned).max() <= 1e-12 * largest
    exact = torch.linalg.eigvalsh(op.dense())
    for variant in (BEFORE, AFTER, WITHOUT_RETURNED):
        nodes = run.tridiagonal(variant).ritz_values()
        assert nodes[-1] == pytest.approx(float(exact[-1]), rel=1e-9)


def test_the_part_that_comes_back_is_what_beta_before_and_the_other_two_differ_by():
    op = loss(torch.float64)
    start = random_vector(op.size, "start")
    run = published_recurrence(FreshOperator(op, draws(torch.float64)), start, num_steps=30)
    rest = run.tridiagonal(WITHOUT_RETURNED).betas
    np.testing.assert_allclose(rest**2 + run.returned[:-1] ** 2, run.betas_before[:-1] ** 2)
    assert np.all(run.betas_after <= run.betas_before * (1 + 1e-12))
    assert np.all((run.returned_shares >= 0) & (run.returned_shares <= 1 + 1e-12))


def test_with_alphas_of_zero_the_spectrum_is_symmetric():
    op = loss(torch.float64)
    run = published_recurrence(op, random_vector(op.size, "start"), num_steps=10)
    nodes = run.tridiagonal(ALPHAS_ZERO).ritz_values()
    np.testing.assert_allclose(nodes, -nodes[::-1], rtol=0, atol=1e-12 * nodes[-1])


def test_the_first_steps_of_a_run_are_a_shorter_run():
    op = loss(torch.float64)
    start = random_vector(op.size, "start")
    long = published_recurrence(FreshOperator(op, draws(torch.float64)), start, num_steps=20)
    short = published_recurrence(FreshOperator(op, draws(torch.float64)), start, num_steps=8)
    for variant in VARIANTS:
        np.testing.assert_array_equal(
            long.tridiagonal(variant, 8).ritz_values(), short.tridiagonal(variant).ritz_values()
        )


def test_a_start_of_zeros_a_wrong_variant_and_no_steps_are_refused():
    op = loss(torch.float64)
    with pytest.raises(InputError, match="non-zero"):
        published_recurrence(op, torch.zeros(op.size), num_steps=3)
    run = published_recurrence(op, torch.ones(op.size), num_steps=3)
    with pytest.raises(InputError, match="before, after"):
        run.tridiagonal("neither")
    with pytest.raises(InputError, match="num_steps"):
        run.tridiagonal(num_steps=0)
