"""The mass at the ends of a density: exact oracles, and what is no spectrum."""

import numpy as np
import pytest
import torch
from oracles import symmetric_with_spectrum

import spectra
from spectra import DenseOperator, InputError, Spectrum, SpectrumCheck, Tridiagonal, check_spectrum
from spectra.findings.spectrum_check import _SUM, WARNING_RATE

NODES, MASSLESS = [-2.0, 0.0, 5.0], [1e-30, 0.9, 0.1]


def one_run(nodes, weights, size: int = 100) -> SpectrumCheck:
    return check_spectrum(nodes, weights, size)


@pytest.mark.parametrize("steps", [1, 3, 10, 40])
@pytest.mark.parametrize("probe", ["normal", "rademacher"])
def test_the_outermost_node_carries_at_least_what_its_eigenvector_has_in_the_start(steps, probe):
    eigenvalues = torch.cat([torch.zeros(20), torch.linspace(-2, 5, 20)]).double()
    matrix = symmetric_with_spectrum(eigenvalues, seed=1)
    _, vectors = torch.linalg.eigh(matrix)
    for seed in range(10):
        generator = spectra.make_generator(seed)
        start = spectra.draw_probe(40, probe=probe, generator=spectra.make_generator(seed))
        found = spectra.slq(
            DenseOperator(matrix), num_probes=1, num_steps=steps, probe=probe, generator=generator
        )
        ends, shares = SpectrumCheck.of(found), (vectors.T @ start) ** 2
        # Chebyshev, Markov & Stieltjes; 1e-10 is rounding of 40 steps in float64.
        assert ends.lowest.mass >= 40 * float(shares[0]) - 1e-10
        assert ends.highest.mass >= 40 * float(shares[-1]) - 1e-10


def test_the_probability_is_that_of_one_component_of_a_point_on_the_sphere():
    # In the plane the angle is uniform: P(cos² ≤ w) = 2 asin(√w) / π.
    for weight in (1e-12, 0.01, 0.3, 0.9):
        found = check_spectrum([0.0, 1.0], [weight, 1 - weight], size=2).lowest.probability
        assert found == pytest.approx(2 * np.arcsin(np.sqrt(weight)) / np.pi, rel=1e-9)


def test_for_many_parameters_the_mass_is_chi_square():
    # In the paper's figure: what is not seen at 1e-7 has a mass under .0012.
    found = check_spectrum(NODES, [0.0012 / 466906, 0.9, 0.1], size=466906)
    assert found.lowest.probability == pytest.approx(0.0276, abs=1e-4)  # 2Φ(√.0012) - 1


def test_each_end_is_judged_by_itself():
    low = one_run(NODES, MASSLESS)
    assert (low.massless, low.highest.mass) == (("lower",), 10.0)
    assert low.warning == "the lower end carries no mass: it belongs to no eigenvalue"
    assert one_run([-5.0, 0.0, 2.0], MASSLESS[::-1]).massless == ("upper",)
    both = one_run(NODES, [1e-30, 1 - 1e-20, 1e-20])
    assert both.warning == "these ends carry no mass: they belong to no eigenvalue"
    assert one_run(NODES, [0.01, 0.95, 0.04]).warning == ""


def test_the_sentence_has_the_numbers_that_it_rests_on():
    assert "-2 carries 1e-28 (probability 7.9e-15)" in one_run(NODES, MASSLESS).sentence
    assert one_run(NODES, [0.01, 0.95, 0.04]).sentence.startswith(
        "both ends carry what eigenvalues"
    )


def test_copies_of_an_eigenvalue_share_its_mass():
    # A run without reorthogonalisation finds 5 again, with next to no weight.
    ghost = one_run([0.0, 5.0, 5.0 + 1e-7], [0.9, 0.1, 1e-25])
    assert ghost.highest.mass == pytest.approx(10.0)
    assert one_run([0.0, 5.0, 5.1], [0.9, 0.1, 1e-25]).massless == ("upper",)


def test_a_weight_that_a_file_of_few_digits_has_rounded_to_zero_is_not_called_massless():
    assert one_run(NODES, [0.0, 0.9999, 0.0001], size=1000).warning == ""
    assert one_run(NODES, [0.0, 1 - 1e-40, 1e-40], size=1000).massless == ("lower", "upper")


def test_runs_of_different_starts_are_put_together():
    fine, less = [0.01, 0.95, 0.04], [2e-9, 0.95, 0.05]
    assert one_run(NODES, less).lowest.probability > WARNING_RATE / 2
    assert check_spectrum([NODES] * 3, [fine] * 3, 100).warning == ""
    assert check_spectrum([NODES] * 3, [less] * 3, 100).massless == ("lower",)
    one_of_five = check_spectrum([NODES] * 5, [fine] * 4 + [MASSLESS], 100)
    assert one_of_five.massless == ("lower",)
    assert one_of_five.lowest.masses == pytest.approx((1.0,) * 4 + (1e-28,))


def test_the_node_and_mass_of_an_end_are_of_the_run_that_reaches_furthest():
    found = check_spectrum([NODES, [-3.0, 1.0]], [[0.01, 0.95, 0.04], [0.02, 0.98]], 100)
    assert (found.lowest.node, found.lowest.mass) == (-3.0, 2.0)
    assert (found.highest.node, found.highest.mass) == (5.0, 4.0)


@pytest.mark.parametrize("size", [1, 2, 20, 10**9])
def test_a_run_of_one_step_says_nothing(size):
    found = check_spectrum([3.0], [1.0], size)
    assert (found.warning, found.lowest.probability, found.highest.probability) == ("", 1.0, 1.0)


def test_a_zero_matrix_has_all_its_mass_at_both_ends():
    t = Tridiagonal(np.zeros(4), np.zeros(3), 0.0, closed=True)
    assert SpectrumCheck.of(Spectrum((t,), 50)).warning == ""


def test_what_a_run_finds_after_its_space_has_closed_is_not_judged():
    # After a β of 0 comes another start: an eigenvalue of no weight in the first one.
    alphas, betas = np.array([1.0, 2.0, -7.0]), np.array([0.5, 0.0])
    found = SpectrumCheck.of(Spectrum((Tridiagonal(alphas, betas, 0.0, closed=True),), 50))
    assert (found.warning, found.lowest.node > 0) == ("", True)


def test_of_a_deflated_density_the_probes_in_the_rest_are_judged():
    eigenvalues = torch.cat([torch.linspace(-0.1, 0.1, 95), torch.tensor([-3.0, 4, 6, 7, 9])])
    op = DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))
    found = spectra.slq(op, num_probes=3, num_steps=25, deflate=True)
    check = SpectrumCheck.of(found)
    assert found.deflated is not None
    assert check.size == 100 - len(found.deflated.values)
    assert check.warning == ""


def test_scaling_a_matrix_changes_no_mass():
    op = DenseOperator(torch.diag(torch.linspace(-1, 3, 50).double()))
    found = spectra.slq(op, num_steps=10)
    assert SpectrumCheck.of(found.scaled(2)).lowest.masses == pytest.approx(
        SpectrumCheck.of(found).lowest.masses, rel=1e-9
    )
    assert SpectrumCheck.of(found.scaled(0)).warning == ""


@pytest.mark.parametrize(
    ("nodes", "weights", "size", "said"),
    [
        ([0.0, 1.0], [0.5], 9, "run 1: nodes and weights must be lists of the same length"),
        ([], [], 9, "run 1: nodes and weights must be lists of the same length"),
        ([[0.0, 1.0]], [[0.5, 0.5], [1.0]], 9, "equally many runs, got 1 and 2"),
        ([0.0, float("nan")], [0.5, 0.5], 9, "run 1: nodes and weights must be finite"),
        ([0.0, 1.0], [1.5, -0.5], 9, "weights must be 0 or more and sum to 1, got a least of -0.5"),
        ([0.0, 1.0], [4.5, 4.5], 9, "a sum of 9"),
        ([0.0, 1.0], [0.5, 0.5], 1, "run 1 has 2 nodes, a matrix of size 1"),
        ([0.0, 1.0], [0.5, 0.5], 2.5, "size must be an integer"),
        (["a", "b"], [0.5, 0.5], 9, "run 1: nodes and weights must be real numbers"),
    ],
)  # fmt: skip
def test_what_is_no_spectrum_is_refused(nodes, weights, size, said):
    with pytest.raises(InputError, match=said):
        check_spectrum(nodes, weights, size)


def test_the_weight_of_an_end_is_at_most_all_of_it():
    # Of a file of few digits, whose weights sum to a little more than 1.
    found = one_run([-1.0, -1.0], [0.5, 0.5 + _SUM / 2])
    assert (found.lowest.mass, found.lowest.probability) == (100, 1)
