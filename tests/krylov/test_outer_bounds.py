import math

import numpy as np
import pytest
import torch
from oracles import dense_tridiagonal

from spectra import (
    InputError,
    LambdaOperator,
    Lanczos,
    SymmetricOperator,
    Tridiagonal,
    draw_probe,
    make_generator,
)
from spectra.krylov.outer_bounds import (
    A_POSTERIORI,
    WORST_CASE_SHARE,
    a_posteriori,
    kuczynski_wozniakowski,
    log_sum_of_squares,
    outer_bounds,
    worst_case_error,
)


def diagonal(eigenvalues: np.ndarray) -> SymmetricOperator:
    """Return a diagonal operator: a start uniform on the sphere sees no axes."""
    entries = torch.from_numpy(np.ascontiguousarray(eigenvalues))
    return LambdaOperator(lambda v: entries * v, len(entries))


def cold_run(eigenvalues: np.ndarray, num_steps: int, *names: object) -> Tridiagonal:
    generator = make_generator(0, "lower bound", *names)
    start = draw_probe(len(eigenvalues), probe="normal", generator=generator)
    return Lanczos(diagonal(eigenvalues), start).run(num_steps).tridiagonal()


def spectrum_of(kind: str, size: int) -> np.ndarray:
    rng = np.random.default_rng(size)
    eigenvalues = {
        "uniform": np.linspace(-1, 1, size),
        "semicircle": np.cos(np.pi * (np.arange(size) + 0.5) / size),
        "outliers": np.r_[-0.3, 1e-3 * rng.standard_normal(size - 4), 1.0, 3.0, 10.0],
    }[kind]
    return np.sort(eigenvalues)


# The figures for P = 464154, a spread of 60 and .05 an end:
# 60 (log(1.648 · 681.3 / .05) / (2m - 1))².
@pytest.mark.parametrize(("num_steps", "reach"), [(30, 1.73), (100, 0.152), (400, 0.00943)])
def test_worst_case_error_has_the_known_figures(num_steps, reach):
    assert 60 * worst_case_error(num_steps, 464154, 0.05) == pytest.approx(reach, rel=5e-3)


def test_worst_case_bound_allows_for_a_spread_wider_than_that_of_the_ritz_values():
    t = cold_run(spectrum_of("uniform", 200), 40)
    error = worst_case_error(40, 200, 0.05)
    spread = t.ritz_values()[-1] - t.ritz_values()[0]
    found = kuczynski_wozniakowski(t, 200, 0.1)
    # S = spread + 2εS by definition of the widest one allowed.
    assert found.above - found.below == pytest.approx(
        spread + 2 * error * (found.above - found.below), rel=1e-12
    )


def test_worst_case_bound_knows_nothing_after_a_few_steps():
    found = kuczynski_wozniakowski(cold_run(spectrum_of("uniform", 200), 4), 200, 0.1)
    # ε = (log(1.648 · 14.1 / .05) / 7)² = .77
    assert (found.below, found.above) == (-math.inf, math.inf)


@pytest.mark.parametrize("num_steps", [1, 2, 7])
@pytest.mark.parametrize("beyond", [1e-6, 0.3, 50.0])
def test_log_sum_is_that_of_the_recurrence(num_steps, beyond):
    t = cold_run(spectrum_of("uniform", 30), num_steps)
    point = t.ritz_values()[0] - beyond
    betas = np.append(t.betas, t.residual_beta)
    polynomials = [0.0, 1.0]
    for k in range(num_steps):
        back = betas[k - 1] * polynomials[-2] if k else 0.0
        polynomials.append(((point - t.alphas[k]) * polynomials[-1] - back) / betas[k])
    # float64; close below a root a factor 1e6 of digits cancels in the recurrence.
    assert log_sum_of_squares(t.alphas, betas, point) == pytest.approx(
        math.log(sum(p**2 for p in polynomials)), abs=1e-8
    )


def test_log_sum_does_not_overflow_far_out():
    t = cold_run(spectrum_of("uniform", 400), 200)
    found = log_sum_of_squares(t.alphas, np.append(t.betas, t.residual_beta), -1e6)
    # π_200 ~ (1e6 / β)^200 with β ~ 1/2: log of its square is about 400 log 2e6 = 5803.
    assert 5700 < found < 5900


def test_log_sum_is_infinite_from_the_smallest_ritz_value_on():
    t = cold_run(spectrum_of("uniform", 30), 5)
    betas = np.append(t.betas, t.residual_beta)
    assert log_sum_of_squares(t.alphas, betas, t.ritz_values()[0] + 1e-9) == math.inf


def test_failure_probability_is_exact_for_one_eigenvalue_off_the_others():
    # H = e eᵀ, one step: c² Σ π_j(1)² is exactly 1, so the bound fails if and only if c² < c0².
    size, failure, draws = 40, 0.5, 1000
    eigenvalues = np.r_[np.zeros(size - 1), 1.0]
    wrong = sum(
        a_posteriori(cold_run(eigenvalues, 1, k), size, failure).above < 1 for k in range(draws)
    )
    # Binomial: four standard deviations of 1000 draws at 1/4.
    assert wrong / draws == pytest.approx(failure / 2, abs=4 * (0.25 * 0.75 / draws) ** 0.5)


@pytest.mark.parametrize("kind", ["uniform", "semicircle", "outliers"])
@pytest.mark.parametrize("failure", [0.1, 0.5])
def test_bounds_fail_no_more_often_than_stated(kind, failure):
    eigenvalues, draws = spectrum_of(kind, 60), 100
    for num_steps in (2, 8, 25):
        wrong = 0
        for k in range(draws):
            found = outer_bounds(cold_run(eigenvalues, num_steps, k), 60, failure)
            wrong += found.below > eigenvalues[0] or found.above < eigenvalues[-1]
        # Three standard deviations of a binomial above its mean.
        assert wrong <= draws * failure + 3 * (draws * failure * (1 - failure)) ** 0.5


@pytest.mark.parametrize("kind", ["uniform", "semicircle", "outliers"])
@pytest.mark.parametrize("num_steps", [10, 20, 40, 80])
def test_what_the_run_showed_is_sharper_than_the_worst_case(kind, num_steps):
    t = cold_run(spectrum_of(kind, 300), num_steps)
    sharp, worst = a_posteriori(t, 300, 0.05), kuczynski_wozniakowski(t, 300, 0.05)
    assert worst.below < sharp.below <= t.ritz_values()[0]
    assert worst.above > sharp.above >= t.ritz_values()[-1]
    assert outer_bounds(t, 300, 0.05).method == (A_POSTERIORI, A_POSTERIORI)


def test_the_better_of_two_pays_for_both():
    t = cold_run(spectrum_of("uniform", 200), 30)
    found = outer_bounds(t, 200, 0.05)
    assert found.failure == 0.05
    assert found.below == a_posteriori(t, 200, 0.05 * (1 - WORST_CASE_SHARE)).below
    assert found.below < a_posteriori(t, 200, 0.05).below


def test_more_steps_and_more_failure_tighten_the_bound():
    eigenvalues = spectrum_of("uniform", 200)
    run = cold_run(eigenvalues, 60)
    belows = [outer_bounds(run.leading(m), 200).below for m in (1, 5, 20, 60)]
    assert belows == sorted(belows)
    assert outer_bounds(run, 200, 1e-6).below < outer_bounds(run, 200, 0.05).below


def test_both_ends_are_those_of_the_mirrored_operator():
    t = cold_run(spectrum_of("outliers", 100), 20)
    mirrored = Tridiagonal(-t.alphas, t.betas, t.residual_beta, t.closed)
    one, other = outer_bounds(t, 100), outer_bounds(mirrored, 100)
    # Ritz values of -T and T differ by rounding: 1e-15 of 10.
    assert other.above == pytest.approx(-one.below, abs=1e-13)
    assert other.below == pytest.approx(-one.above, abs=1e-13)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_bounds_scale_with_the_operator(factor):
    t = cold_run(spectrum_of("outliers", 100), 20)
    scaled = Tridiagonal(t.alphas * factor, t.betas * factor, t.residual_beta * factor, t.closed)
    # Eighty bisections and rounding.
    expected = factor * outer_bounds(t, 100).below
    assert outer_bounds(scaled, 100).below == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", ["uniform", "outliers"])
def test_a_full_space_is_bounded_by_its_own_ends(kind):
    eigenvalues = spectrum_of(kind, 40)
    found = outer_bounds(cold_run(eigenvalues, 40), 40)
    # 10 √40 eps of λmax = 10 is 1e-13; it is amplified by at most 1/c0 ~ 250.
    assert found.below == pytest.approx(eigenvalues[0], abs=1e-11)
    assert found.above == pytest.approx(eigenvalues[-1], abs=1e-11)
    assert found.below <= eigenvalues[0]
    assert found.above >= eigenvalues[-1]


@pytest.mark.parametrize("value", [0.0, 2.0, -3.0])
def test_a_multiple_of_the_identity_is_bounded_after_one_step(value):
    t = cold_run(np.full(30, value), 1)
    assert t.closed
    found = outer_bounds(t, 30)
    # Rounding 1e-14 of the value over c0, some 1/200.
    assert found.below == pytest.approx(value, abs=1e-11)
    assert found.below <= value <= found.above


def test_one_parameter_has_one_eigenvalue():
    found = outer_bounds(cold_run(np.array([-2.0]), 1), 1)
    assert found.below == pytest.approx(-2.0, abs=1e-12)  # rounding


def test_coarser_products_move_the_ends_outwards_by_their_rounding():
    t = cold_run(spectrum_of("uniform", 100), 30)
    coarse, fine = a_posteriori(t, 100, 0.05, rounding=1e-3), a_posteriori(t, 100, 0.05)
    # Of the largest |θ|, just under 1.
    assert fine.below - coarse.below == pytest.approx(1e-3, rel=1e-2)


def test_smallest_ritz_value_is_that_of_the_matrix():
    t = cold_run(spectrum_of("uniform", 100), 30)
    lowest = np.linalg.eigvalsh(dense_tridiagonal(t.alphas, t.betas))[0]
    assert outer_bounds(t, 100).below < lowest


@pytest.mark.parametrize("failure", [0.0, 1.0, float("nan")])
def test_failure_must_be_a_probability(failure):
    with pytest.raises(InputError, match="failure must lie between"):
        outer_bounds(cold_run(spectrum_of("uniform", 30), 5), 30, failure)


def test_size_must_hold_the_steps():
    with pytest.raises(InputError, match="at least the 5 steps"):
        outer_bounds(cold_run(spectrum_of("uniform", 30), 5), 4)


def test_a_restarted_run_bounds_nothing():
    with pytest.raises(InputError, match="restarted"):
        outer_bounds(Tridiagonal(np.ones(3), np.array([0.5, 0.0]), 0.1, False), 30)
