"""Probes that step together."""

import pytest
import torch
from oracles import random_vector, symmetric_with_spectrum
from product_nets import operator

from spectra import (
    DenseOperator,
    LambdaOperator,
    NonFiniteError,
    SolverSettings,
    make_generator,
    slq,
)
from spectra.engines.own import run_spectra
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.probes import run_in_lockstep
from spectra.products import Tuning


def spectrum(op, lockstep, on_progress=None):
    return slq(
        op, num_probes=3, num_steps=12, generator=make_generator(0), lockstep=lockstep,
        on_progress=on_progress,
    )  # fmt: skip


def assert_same(a, b, rtol=0.0):
    for one, other in zip(a.probes, b.probes, strict=True):
        torch.testing.assert_close(one.alphas, other.alphas, rtol=rtol, atol=rtol)
        torch.testing.assert_close(one.betas, other.betas, rtol=rtol, atol=rtol)


def test_probes_in_lockstep_are_the_probes_one_after_the_other_to_the_bit():
    op = operator("option-a")
    assert_same(spectrum(op, True), spectrum(op, False))


def test_an_operator_that_takes_several_vectors_a_pass_steps_its_probes_together():
    op, passes = operator("option-a", tuning=Tuning(stacked=3)), []
    inner = op.matmat
    op.matmat = lambda vectors: passes.append(len(vectors)) or inner(vectors)
    # Rounding of products in another order grows along a Lanczos run.
    assert_same(spectrum(op, None), spectrum(operator("option-a"), False), rtol=1e-6)
    assert passes == [3] * 12


def test_a_run_whose_space_closes_leaves_the_others_alone():
    eigenvalues = torch.linspace(-1, 2, 20, dtype=torch.float64)
    matrix = symmetric_with_spectrum(eigenvalues, seed=0)
    _, vectors = torch.linalg.eigh(matrix)
    op = DenseOperator(matrix)
    starts = [vectors[:, 3], random_vector(20, "v"), vectors[:, 0] + vectors[:, 5]]
    runs = [Lanczos(op, v) for v in starts]
    run_in_lockstep(runs, 15)
    assert [len(run) for run in runs] == [1, 15, 2]
    alone = Lanczos(op, starts[1]).run(15).tridiagonal()
    torch.testing.assert_close(runs[1].tridiagonal().alphas, alone.alphas, rtol=1e-10, atol=1e-12)


def test_steps_of_all_probes_are_counted():
    seen = []
    spectrum(
        operator("option-a"),
        True,
        on_progress=lambda _, done, planned: seen.append((done, planned)),
    )
    assert seen == [(3 * k, 36) for k in range(1, 13)]


def test_a_product_that_is_not_finite_names_its_probe():
    calls = []

    def product(v):
        calls.append(0)
        return v * (torch.nan if len(calls) == 5 else 2.0) + v.flip(0)

    with pytest.raises(NonFiniteError, match="probe 2: the product of Lanczos step 2"):
        slq(LambdaOperator(product, 9), num_probes=3, num_steps=4, generator=make_generator(0),
            lockstep=True)  # fmt: skip


def test_the_engine_gives_the_same_with_probes_in_lockstep():
    settings = SolverSettings(num_probes=3, num_steps=10)
    op, together = operator("option-a"), operator("option-a", tuning=Tuning(stacked=3))
    alone = run_spectra(op, label="8", settings=settings)
    found = run_spectra(together, label="8", settings=settings)
    assert_same(found.spectrum, alone.spectrum, rtol=1e-6)
    assert found.extremes.smallest.value == pytest.approx(alone.extremes.smallest.value, rel=1e-6)


def test_without_a_basis_probes_follow_each_other():
    # Vectors come from a second pass, which has to repeat the products of the first.
    settings = SolverSettings(num_probes=3, num_steps=10, basis="none", proof=False)
    op, passes = operator("option-a", tuning=Tuning(stacked=3)), []
    inner = op.matmat
    op.matmat = lambda vectors: passes.append(len(vectors)) or inner(vectors)
    run_spectra(op, label="8", settings=settings)
    assert set(passes) == {1}


def test_an_operator_takes_one_vector_a_pass_unless_it_is_tuned_to_take_several():
    assert DenseOperator(torch.eye(2)).vectors_a_pass == 1
    assert [operator("option-a", tuning=Tuning(stacked=k)).vectors_a_pass for k in (1, 3)] == [1, 3]


def test_an_operator_of_one_vector_a_pass_makes_one_probe_after_the_other(monkeypatch):
    done = []
    spectrum(
        DenseOperator(torch.diag(torch.linspace(-1, 2, 20))), None, lambda *at: done.append(at)
    )
    apart = list(done)
    done.clear()
    spectrum(
        DenseOperator(torch.diag(torch.linspace(-1, 2, 20))), True, lambda *at: done.append(at)
    )
    assert [step for _, step, _ in apart] == list(range(1, 37))
    assert [step for _, step, _ in done] == list(range(3, 37, 3))
