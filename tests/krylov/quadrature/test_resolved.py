import math
from dataclasses import replace

import numpy as np
import pytest
from known_spectra import HEAVY, density_of, heavy_tailed, smoothed

from spectra import ResolvedSpectrum, resolve

LONE = np.array([-6.0, -2.0, 3.0, 5.0, 8.0, 13.0, 40.0])


@pytest.fixture(scope="module")
def bulk_and_lone():
    return np.concatenate([np.linspace(-0.5, 0.5, 400), LONE])


@pytest.mark.parametrize("num_probes", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_lone_eigenvalues_are_resolved_within_their_residuals(bulk_and_lone, num_probes, seed):
    found = resolve(density_of(bulk_and_lone, seed, num_probes=num_probes))
    assert len(found) >= len(LONE)
    for lone in LONE:
        near = int(np.abs(found.values - lone).argmin())
        # 1e-13: rounding of products of size 40.
        assert abs(found.values[near] - lone) <= found.residuals[near] + 1e-13


@pytest.mark.parametrize("kind", HEAVY)
@pytest.mark.parametrize("num_steps", [40, 200])
def test_every_resolved_value_is_another_eigenvalue(kind, num_steps):
    eigenvalues = heavy_tailed(kind)
    for seed in range(2):
        found = resolve(density_of(eigenvalues, seed, num_steps=num_steps))
        distances = np.abs(found.values[:, None] - eigenvalues)
        assert len(found) >= 15
        assert (distances.min(1) <= found.residuals + 1e-12 * np.abs(eigenvalues).max()).all()
        assert len(set(distances.argmin(1).tolist())) == len(found)


@pytest.mark.parametrize("num_probes", [1, 2])
def test_density_at_lone_eigenvalues_is_exact(bulk_and_lone, num_probes):
    found = resolve(density_of(bulk_and_lone, num_probes=num_probes))
    exact = smoothed(bulk_and_lone, LONE, 0.02)
    # The value is right to the square of its residual, 1e-6 of the largest, 1e-3 σ.
    np.testing.assert_allclose(found.density(LONE, 0.02), exact, rtol=1e-6)


@pytest.mark.parametrize("kind", HEAVY)
def test_density_is_nowhere_worse_than_the_plain_one(kind):
    eigenvalues = heavy_tailed(kind)
    ours, plain = [], []
    for seed in range(4):
        spectrum = density_of(eigenvalues, seed)
        sigma = spectrum.reference_sigma()
        exact = np.log10(smoothed(eigenvalues, eigenvalues, sigma))
        for found, errors in ((resolve(spectrum), ours), (spectrum, plain)):
            with np.errstate(divide="ignore"):
                errors.append(np.abs(np.log10(found.density(eigenvalues, sigma)) - exact))
    middle = slice(300, 1200)
    medians = [[np.median(np.array(e)[:, part]) for part in (middle, slice(-15, None))]
               for e in (ours, plain)]  # fmt: skip
    # In the bulk the noise of two probes stays; a tenth of it is the noise of four seeds.
    assert medians[0][0] <= 1.1 * medians[1][0]
    # Lone eigenvalues: at two probes c² is off by a factor of two; here no error is left.
    assert medians[0][1] <= 1e-3
    assert medians[1][1] >= 0.2


def test_what_is_resolved_and_the_rest_make_one(bulk_and_lone):
    found = resolve(density_of(bulk_and_lone))
    sigma = 0.1
    grid = np.arange(-8, 42, sigma / 4)
    step = sigma / 4
    assert found.density(grid, sigma).sum() * step == pytest.approx(1.0, abs=1e-12)
    assert found.rest_density(grid, sigma).sum() * step == pytest.approx(found.rest_mass, abs=1e-12)
    assert found.rest_mass == (407 - len(found)) / 407


def test_where_every_run_is_complete_the_density_is_exact():
    eigenvalues = np.linspace(0.1, 3, 30)
    found = resolve(density_of(eigenvalues, num_steps=30))
    np.testing.assert_allclose(found.values, eigenvalues, atol=1e-12)
    assert (found.rest_size, found.rest_ends) == (0, None)
    grid = np.linspace(0, 3, 50)
    np.testing.assert_allclose(found.density(grid, 0.1), smoothed(eigenvalues, grid, 0.1))


@pytest.mark.parametrize("copies", [3, 12, 300])
def test_a_null_space_is_never_one_eigenvalue(copies):
    # Of some dozen copies the weight looks like that of one.
    eigenvalues = np.concatenate([np.zeros(copies), np.geomspace(0.1, 30, 40)])
    for seed in range(5):
        found = resolve(density_of(eigenvalues, seed, num_steps=41))
        assert len(found) >= 15
        assert np.abs(found.values).min() >= 0.09


@pytest.mark.parametrize("num_probes", [1, 2, 4])
def test_many_copies_away_from_zero_are_not_one_eigenvalue(num_probes):
    eigenvalues = np.concatenate([np.full(60, 2.0), np.linspace(-1, 1, 300), [7.0, 9.0]])
    for seed in range(5):
        found = resolve(density_of(eigenvalues, seed, num_probes=num_probes))
        assert np.abs(found.values - 2.0).min() > 1e-3
        assert {7, 9} <= set(found.values.round(6))


@pytest.mark.parametrize("size", [20, 200])
def test_a_space_that_closes_without_a_node_at_zero_resolves_nothing(size):
    # Two values and more than two dimensions: some have copies, and nothing says which.
    found = resolve(density_of(np.repeat([-1.0, 1.0], size // 2), num_probes=1))
    assert len(found) == 0


def test_an_eigenvalue_that_one_run_has_not_resolved_stays_in_the_rest(bulk_and_lone):
    spectrum = density_of(bulk_and_lone)
    short = replace(spectrum, probes=(spectrum.probes[0], spectrum.probes[1].leading(6)))
    assert len(resolve(short)) < len(LONE) <= len(resolve(spectrum))


def test_runs_without_residuals_resolve_nothing(bulk_and_lone):
    spectrum = density_of(bulk_and_lone)
    unknown = tuple(replace(t, residual_beta=math.nan) for t in spectrum.probes)
    found = resolve(replace(spectrum, probes=unknown))
    assert len(found) == 0
    grid = np.linspace(-6, 8, 30)
    np.testing.assert_allclose(found.density(grid, 0.1), spectrum.density(grid, 0.1), rtol=1e-12)


def test_eigenvalues_closer_than_float32_tells_apart_are_not_resolved():
    # 1e-6 of the largest: two runs may have found one each, and they would be taken for the same.
    pair = [2.0, 2.0 + 2e-5]
    eigenvalues = np.concatenate([np.linspace(-1, 1, 50), pair, [40.0]])
    found = resolve(density_of(eigenvalues, num_steps=53))
    assert isinstance(found, ResolvedSpectrum)
    assert np.abs(found.values - 2.0).min() > 0.1
    assert np.abs(found.values - 40.0).min() < 1e-10
