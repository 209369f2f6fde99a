"""When the ends of a run count as converged, and what starts that are random in part bound."""

import numpy as np
import pytest
import torch
from oracles import symmetric_with_spectrum
from test_outer_bounds import cold_run, diagonal, spectrum_of

from spectra import DenseOperator, InputError, Lanczos, Tridiagonal, make_generator, outer_bounds
from spectra.krylov.extremes import extremes_of_run
from spectra.krylov.outer_bounds import rounding_seen
from spectra.krylov.stopping.ends_of_run import (
    STEPS_AT_ZERO,
    _nothing_further_out,
    enough_steps,
    met_with_evidence,
)
from spectra.krylov.stopping.start import draw_start
from spectra.krylov.tolerance import Tolerance

NULL_SPACE = np.r_[-0.005, np.zeros(1996), 0.3, 0.6, 1.0]
BULK = np.r_[-0.01, np.linspace(0, 0.3, 996), 0.5, 0.6, 1.0]


def test_a_residual_at_zero_is_no_evidence():
    tolerance, met = Tolerance(0.03), 0
    for k in range(10):
        t = cold_run(NULL_SPACE, 4, k)
        met += tolerance.met_at_ends(t.ritz_values(), t.residual_bounds())[0, 0]
        assert not met_with_evidence(t, 2000, tolerance)[0, 0]
    # Of a vector of the null space, at some -1e-6.
    assert met >= 3


@pytest.mark.parametrize("seed", range(5))
def test_an_end_beside_a_bulk_that_begins_at_zero_is_found(seed):
    op = diagonal(BULK)
    run = Lanczos(op, draw_start(op, make_generator(seed)).vector)
    found = extremes_of_run(run, tolerance=Tolerance(0.03))
    assert found.converged
    assert found.smallest.value == pytest.approx(-0.01, rel=0.03)


def test_a_positive_matrix_converges_once_enough_steps_are_made():
    op = diagonal(np.r_[np.zeros(2700), np.geomspace(1e-5, 1, 300)])
    run = Lanczos(op, draw_start(op, make_generator(0)).vector)
    found = extremes_of_run(run, tolerance=Tolerance(0.03))
    assert found.converged
    assert found.steps <= STEPS_AT_ZERO


def test_a_run_that_may_not_go_on_has_not_converged_at_zero():
    op = diagonal(np.r_[np.zeros(2700), np.geomspace(1e-5, 1, 300)])
    run = Lanczos(op, draw_start(op, make_generator(0)).vector)
    found = extremes_of_run(run, tolerance=Tolerance(0.03), max_steps=40)
    assert (found.smallest.converged, found.largest.converged) == (False, True)


@pytest.mark.parametrize("max_basis", [None, 20])
def test_of_two_lowest_that_are_close_the_lower_is_found(max_basis):
    eigenvalues = torch.cat([torch.tensor([-1.0, -0.95]), torch.linspace(-0.5, 20, 298)]).double()
    op = DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))
    for seed in range(10):
        run = Lanczos(op, draw_start(op, make_generator(seed)).vector)
        found = extremes_of_run(run, tolerance=Tolerance(0.03), max_basis=max_basis, max_steps=1000)
        assert found.smallest.converged
        assert found.smallest.value == pytest.approx(-1, rel=0.03)


def test_what_is_enough_once_met_is_half_as_many_steps_again_and_ten():
    eigenvalues = np.linspace(-1, 5, 400)
    t, tolerance = cold_run(eigenvalues, 200), Tolerance(0.01)
    met = [tolerance.met_at_ends(s.ritz_values(), s.residual_bounds()).all() for s in steps_of(t)]
    known = [met_with_evidence(s, 400, tolerance).all() for s in steps_of(t)]
    first = met.index(True) + 1
    assert first <= known.index(True) + 1 <= enough_steps(first) + 1


def steps_of(t: Tridiagonal) -> list[Tridiagonal]:
    return [t.leading(m) for m in range(1, len(t))]


@pytest.mark.parametrize("kind", ["uniform", "outliers"])
@pytest.mark.parametrize("at", [0.0, 1.0, -1.0])
def test_bounds_after_a_start_random_in_part_fail_no_more_often_than_stated(kind, at):
    # The known part: a vector of the middle, and the extreme ones themselves, either way round.
    eigenvalues, failure, draws = spectrum_of(kind, 60), 0.3, 200
    known = torch.zeros(60, dtype=torch.float64)
    known[30], known[0], known[-1] = 1.0, 0.1 * at, -0.1 * at
    op, wrong = diagonal(eigenvalues), 0
    for k in range(draws):
        start = draw_start(op, make_generator(k, "in part"), (known / known.norm(),))
        t = Lanczos(op, start.vector).run(6).tridiagonal()
        found = outer_bounds(t, 60, failure, random_share=start.random_share)
        wrong += found.below > eigenvalues[0] or found.above < eigenvalues[-1]
    # Three standard deviations of a binomial above its mean.
    assert wrong <= draws * failure + 3 * (draws * failure * (1 - failure)) ** 0.5


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(InputError, match="random_share"):
        outer_bounds(cold_run(np.linspace(0, 1, 30), 5), 30, random_share=share)


def test_two_parameters_bound_nothing_after_a_start_random_in_part():
    with pytest.raises(InputError, match="P < 3"):
        outer_bounds(cold_run(np.array([0.0, 1.0]), 1), 2, random_share=0.5)


def test_the_first_block_of_a_run_whose_space_closed_bounds():
    # Five distinct eigenvalues: the space closes after five steps, and the next block adds none.
    eigenvalues = np.r_[-1.0, np.zeros(50), np.full(20, 2.0), 3.0, 7.0]
    op = diagonal(eigenvalues)
    run = Lanczos(op, draw_start(op, make_generator(0)).vector).run(20)
    assert run.closed
    run.begin_new_block(torch.randn(len(eigenvalues), generator=make_generator(1)))
    t = run.run(8).tridiagonal()
    first = t.first_block()
    assert (len(first), first.closed) == (5, True)
    found = outer_bounds(first, len(eigenvalues))
    # To rounding: no eigenvector was missed.
    assert -1 - 1e-9 <= found.below <= -1
    assert 7 <= found.above <= 7 + 1e-9


def test_rounding_of_float32_is_at_least_twice_what_the_ends_were_off():
    t = cold_run(np.linspace(-1, 5, 100), 60)
    low, high = t.ritz_values()[[0, -1]]
    eps32, eps64 = (torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64))
    assert rounding_seen(t, (low, high * 1.01), 100, eps32) == pytest.approx(0.02, rel=1e-6)
    assert rounding_seen(t, (low, high), 100, eps32) == pytest.approx(100 * eps32)
    assert rounding_seen(t, (low, high * 1.01), 100, eps64) == pytest.approx(100 * eps64)


@pytest.mark.parametrize("steps", [4, 8, 16, 24, 32])
def test_the_evidence_at_the_upper_end_is_that_of_minus_h_at_the_lower(steps):
    values = torch.cat([torch.linspace(-1, 1, 60), torch.tensor([-3.0, 6.0])]).double()
    start = torch.randn(62, generator=make_generator(0), dtype=torch.float64)
    t = Lanczos(DenseOperator(torch.diag(values)), start).run(steps).tridiagonal()
    mirrored = Tridiagonal(-t.alphas, t.betas, t.residual_beta, t.closed)
    for floor in (1e-8, 1e-4):
        ends = [
            _nothing_further_out(one, 62, end, floor, 1.0)
            for one, end in ((t, 0), (t, 1), (mirrored, 1), (mirrored, 0))
        ]
        assert ends[:2] == ends[2:]
