import numpy as np
import pytest
import torch
from known_spectra import HEAVY, density_of, eigenvalues_of_nets, heavy_tailed, smoothed
from oracles import symmetric_with_spectrum

from spectra import (
    DenseOperator,
    InputError,
    count_below,
    density_band,
    negative_mass,
    resolve,
    slq,
    trace_interval,
)
from spectra.krylov.quadrature.deflated import Complement


def errors_at(eigenvalues, density, sigma) -> tuple[np.ndarray, np.ndarray]:
    """Return |log10| of found over exact density at lone eigenvalues, and at the others."""
    beside = np.diff(eigenvalues, prepend=-np.inf, append=np.inf)
    lone = np.minimum(beside[:-1], beside[1:]) > 6 * sigma
    exact = smoothed(eigenvalues, eigenvalues, sigma)
    errors = np.abs(np.log10((density(eigenvalues, sigma) + 1e-30) / exact))
    return errors[lone], errors[~lone]


def medians(cases, seeds, options, *, taken) -> tuple[float, float]:
    """Return the mean over cases of the median error, at lone eigenvalues and elsewhere."""
    lone, others = [], []
    for k, eigenvalues in enumerate(cases):
        for seed in range(seeds):
            spectrum = density_of(eigenvalues, "deflated", k, seed, **options)
            density = resolve(spectrum).density if taken else spectrum.density
            first, second = errors_at(eigenvalues, density, spectrum.reference_sigma())
            lone += [np.median(first)] if len(first) else []
            others.append(np.median(second))
    return float(np.mean(lone)), float(np.mean(others))


def test_a_complement_is_the_projected_matrix():
    matrix = symmetric_with_spectrum(torch.linspace(-1, 5, 20, dtype=torch.float64), seed=0)
    rows = torch.linalg.qr(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double())
    op = Complement(DenseOperator(matrix), rows.Q.T)
    projector = torch.eye(20, dtype=torch.float64) - rows.Q @ rows.Q.T
    dense = op.matmat(torch.eye(20, dtype=torch.float64))
    # Rounding of products of size 5.
    torch.testing.assert_close(dense, projector @ matrix @ projector, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rotated_matrix_in_either_precision_has_its_density(dtype):
    eigenvalues = np.concatenate([np.linspace(-0.5, 0.5, 200), [-6.0, 3, 5, 8, 40]])
    matrix = symmetric_with_spectrum(torch.from_numpy(eigenvalues), seed=0).to(dtype)
    spectrum = slq(DenseOperator(matrix), num_steps=40, deflate=True)
    found, lone = resolve(spectrum), np.array([-6.0, 3, 5, 8, 40])
    assert len(spectrum.deflated.values) >= 5
    # Float32 products are off by 1e-6 of 40, a five-hundredth of σ.
    np.testing.assert_allclose(
        found.density(lone, 0.05), smoothed(eigenvalues, lone, 0.05), rtol=1e-3
    )
    assert found.values.min() == pytest.approx(-6, abs=1e-4)
    # What was taken out does not come back: each value once.
    assert (np.diff(found.values) > 1e-3).all()


def test_masses_and_moments_are_of_all_eigenvalues():
    eigenvalues = heavy_tailed("powers")
    spectrum = density_of(eigenvalues, num_probes=3, deflate=True)
    assert spectrum.weights.sum() == pytest.approx(1, abs=1e-12)
    assert len(spectrum.probes) == 2
    assert spectrum.trace == pytest.approx(spectrum.size * float(spectrum.weights @ spectrum.nodes))
    found = trace_interval(spectrum)
    assert found.lower <= eigenvalues.sum() <= found.upper
    doubled = spectrum.scaled(2.0)
    np.testing.assert_allclose(resolve(doubled).values, 2 * resolve(spectrum).values)


def test_counts_of_a_deflated_density_hold_what_was_taken_out():
    eigenvalues = np.concatenate([np.linspace(0.5, 1, 300), [-2.0, -3.0, -5.0, 9.0]])
    spectrum = density_of(eigenvalues, deflate=True)
    assert negative_mass(spectrum).estimate == 3 / 304
    assert count_below(spectrum, -0.01).at_least == 3


def test_a_second_copy_is_found_in_the_complement():
    # A run sees one vector of a pair; fresh probes in its complement see the other.
    eigenvalues = np.concatenate([np.linspace(-1, 1, 300), [5.0, 5.0, 9.0]])
    # Few steps: after some 30, rounding brings the other copy into a run as well.
    found = resolve(density_of(eigenvalues, num_steps=14, deflate=True))
    assert (np.abs(found.values - 5) < 1e-3).sum() == 2


def test_a_run_that_is_complete_needs_no_other():
    eigenvalues = np.linspace(0.1, 3, 30)
    found = resolve(density_of(eigenvalues, num_steps=30, deflate=True))
    np.testing.assert_allclose(found.values, eigenvalues, atol=1e-12)


@pytest.mark.parametrize("options", [{"num_probes": 1}, {"probe": "rademacher"}])
def test_deflation_needs_two_normal_probes(options):
    with pytest.raises(InputError, match="deflate needs at least 2 probes"):
        density_of(np.linspace(0, 1, 20), deflate=True, **options)


def test_steps_of_a_deflated_density_are_reported_to_the_planned_number():
    reports = []
    density_of(
        heavy_tailed("powers"), num_steps=5, deflate=True,
        on_progress=lambda *r: reports.append(r),
    )  # fmt: skip
    assert reports == [("", k, 10) for k in range(1, 11)]


@pytest.mark.parametrize("kind", HEAVY)
def test_deflation_is_better_beside_the_bulk_and_no_worse_in_it(kind):
    cases = [heavy_tailed(kind)]
    options = {"num_probes": 2, "num_steps": 80}
    deflated = medians(cases, 3, {**options, "deflate": True}, taken=True)
    plain = medians(cases, 3, options, taken=False)
    assert deflated[0] <= 1e-3
    # One fresh probe has the noise of one, √2 of that of two; medians of three seeds vary.
    assert deflated[1] <= 2 * plain[1]


def test_a_band_beside_deflated_eigenvalues_is_of_the_rest():
    eigenvalues = heavy_tailed("powers")
    spectrum = density_of(eigenvalues, num_probes=3, num_steps=80, deflate=True)
    grid = np.linspace(-0.1, 0.1, 40)
    band = density_band(spectrum, grid, 0.05)
    exact = smoothed(eigenvalues, grid, 0.05)
    assert band.given.all()
    assert ((band.lower <= exact) & (exact <= band.upper)).mean() >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("products", [80, 160, 320])
def test_resolved_and_deflated_beat_plain_at_equal_products(products):
    nets = [e for e in eigenvalues_of_nets(7) if 1.2 * len(e) > products]
    for name, cases in (("nets", nets), ("heavy tails", [heavy_tailed(k) for k in HEAVY])):
        half = {"num_probes": 2, "num_steps": products // 2}
        plain = medians(cases, 4, half, taken=False)
        resolved = medians(cases, 4, half, taken=True)
        deflated = medians(cases, 4, {**half, "deflate": True}, taken=True)
        thrice = medians(cases, 4, {**half, "num_probes": 6}, taken=False)
        print(f"{name}, {products} products: plain {plain}, with three times as many {thrice}, "
              f"resolved {resolved}, deflated {deflated}")  # fmt: skip
        # At lone eigenvalues both are closer than plain quadrature of three times the products.
        assert max(resolved[0], deflated[0]) < 0.5 * thrice[0]
        assert resolved[1] <= 1.1 * plain[1]
        assert deflated[1] <= 1.55 * plain[1] + 0.005


def test_an_eigenvalue_lies_within_the_residual_of_what_is_found_beside_the_deflated():
    farthest = 0.0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        eigenvalues = torch.randn(200, generator=generator, dtype=torch.float64) * 0.1
        eigenvalues[:3] = torch.tensor([5.0, 7.0, -3.0])
        op = DenseOperator(torch.diag(eigenvalues))
        found = resolve(slq(op, num_probes=2, num_steps=60, seed=seed, deflate=True))
        distances = np.abs(found.values[:, None] - eigenvalues.numpy()).min(1)
        # Rounding of products of size 7.
        assert (distances <= found.residuals + 1e-13).all()
        assert (distances <= 3 * found.errors).all()
        farthest = max(farthest, float(distances.max()))
    # Without what couples them to the deflated vectors, residuals here were 1e-20.
    assert farthest > 1e-5
