import numpy as np
import pytest
import torch
from known_spectra import HEAVY, density_of, heavy_tailed
from oracles import symmetric_with_spectrum

from spectra import (
    DenseOperator,
    InputError,
    count_below,
    make_generator,
    negative_mass,
    resolve,
    slq,
)


@pytest.mark.parametrize("relative", [1e-3, 1e-2])
@pytest.mark.parametrize("num_probes", [1, 2, 4])
def test_interval_of_the_negative_mass_covers_the_exact_fraction(relative, num_probes, nets):
    hits = []
    for e in nets:
        threshold = -relative * float(np.abs(e.eigenvalues).max())
        found = negative_mass(e.first(num_probes), threshold)
        exact = float((e.eigenvalues < threshold).mean())
        hits.append(found.lower <= exact <= found.upper)
        assert found.lower <= found.estimate <= found.upper
    # 36 intervals of 95 % that are widened by what quadrature cannot see: 31 is a chance of 1 %.
    assert np.mean(hits) >= 31 / 36


@pytest.mark.parametrize("size", [40, 400])
def test_interval_of_the_negative_mass_is_exact_where_the_space_closes(size):
    # Two eigenvalues: two steps give the measure itself, and c² is Beta exactly.
    negative = size // 4
    entries = np.ones(size)
    entries[:negative] = -1.0
    hits = []
    for seed in range(300):
        spectrum = density_of(entries, seed, num_probes=1, num_steps=5)
        found = negative_mass(spectrum)
        hits.append(found.lower <= 0.25 <= found.upper)
    # Binomial: three standard deviations of 300 draws at .95.
    assert np.mean(hits) == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 300) ** 0.5)


def test_eigenvalues_at_the_threshold_show_as_a_wide_interval():
    entries = np.linspace(-1, 1, 200)
    entries[:100] = -1e-9  # half of them just below zero, where 20 steps see no difference
    spectrum = density_of(entries, num_probes=4, num_steps=20)
    found = negative_mass(spectrum, 0.0)
    assert found.lower < 0.1
    assert found.upper > 0.5


def test_no_negative_eigenvalue_has_no_negative_mass():
    entries = np.linspace(1, 2, 50)
    spectrum = density_of(entries, num_steps=50)
    found = negative_mass(spectrum)
    assert (found.lower, found.estimate, found.upper) == (0.0, 0.0, 0.0)


def test_resolved_eigenvalues_are_counted():
    # All that is negative is resolved: nothing is left to estimate, whatever its weights.
    eigenvalues = np.concatenate([np.linspace(0.5, 1, 300), [-2.0, -3.0, -5.0, 9.0]])
    for seed in range(5):
        spectrum = density_of(eigenvalues, seed)
        assert {-5, -3, -2} <= set(resolve(spectrum).values.round(6))
        found = negative_mass(spectrum)
        assert (found.lower, found.estimate) == (3 / 304, 3 / 304)
        below = count_below(spectrum, -0.01)
        assert below.at_least == 3
        assert below.interval.lower == pytest.approx(3)


@pytest.mark.parametrize("num_probes", [1, 2, 4])
@pytest.mark.parametrize("relative", [0.0, 1e-3, 1e-2])
def test_a_count_has_at_least_what_is_proven(num_probes, relative, nets):
    heavy = [heavy_tailed(kind) for kind in HEAVY]
    for known, spectrum in [
        *((n.eigenvalues, n.first(num_probes)) for n in nets),
        *((e, density_of(e, num_probes=num_probes, num_steps=60)) for e in heavy),
    ]:
        threshold = -relative * float(known[-1])
        found = count_below(spectrum, threshold)
        exact = int((known < threshold).sum())
        assert found.at_least <= exact
        assert found.at_least >= (np.sort(spectrum.probes[0].ritz_values()) < threshold).sum() - 5


def test_runs_that_found_different_eigenvalues_bound_more_than_each():
    # Two copies of the lower half: each run sees one vector of each pair, at the same places; and
    # what one run has missed, another has.
    eigenvalues = np.concatenate([np.linspace(1, 2, 200), -np.geomspace(1e-2, 10, 30)])
    spectrum = density_of(eigenvalues, num_probes=4, num_steps=25)
    found = count_below(spectrum, -1e-3)
    assert 10 <= found.at_least <= 30


def test_rounding_is_no_negative_eigenvalue():
    # Float32 products move a null space by 1e-6 of the largest; the bound allows for 1e-4.
    eigenvalues = np.concatenate([np.full(50, -5e-5), [1.0, 0.5]])
    assert count_below(density_of(eigenvalues, num_steps=3), 0.0).at_least == 0


def test_sign_probes_bound_a_count_but_estimate_none():
    eigenvalues = np.concatenate([np.linspace(0.5, 1, 100), [-2.0, -3.0]])
    spectrum = density_of(eigenvalues, probe="rademacher")
    found = count_below(spectrum, 0.0)
    assert (found.at_least, found.interval) == (2, None)
    with pytest.raises(InputError, match="uniform on the sphere"):
        negative_mass(spectrum)


def test_negative_mass_of_a_complete_run_is_the_fraction_of_negative_eigenvalues():
    eigenvalues = np.concatenate([np.linspace(-1, -0.2, 20), np.geomspace(0.1, 4, 30)])
    found = negative_mass(density_of(eigenvalues, num_steps=50))
    assert (found.lower, found.estimate, found.upper) == (0.4, 0.4, 0.4)


@pytest.mark.parametrize("seed", range(4))
def test_rounding_of_a_zero_eigenvalue_is_no_negative_mass(seed):
    eigenvalues = np.zeros(40)
    eigenvalues[:2] = 5.0, 1.0
    op = DenseOperator(symmetric_with_spectrum(torch.from_numpy(eigenvalues), seed=seed))
    assert negative_mass(slq(op, num_steps=3, generator=make_generator(seed))).estimate == 0.0
