from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from oracles import build_net, dense_hessian, images_and_labels, refill, train
from torch import nn

from spectra import DenseOperator, InputError, LambdaOperator, Spectrum, make_generator, slq
from spectra.findings.confidence import density_band, image_bootstrap, negative_mass

SEEDS = range(4)


@dataclass(frozen=True)
class Estimated:
    """A trained net's exact eigenvalues, and one quadrature of ten probes."""

    eigenvalues: np.ndarray
    spectrum: Spectrum

    def first(self, num_probes: int) -> Spectrum:
        return Spectrum(self.spectrum.probes[:num_probes], self.spectrum.size, "normal")


def small_nets() -> Iterator[torch.Tensor]:
    """Yield dense Hessians of nine nets, P = 99 to 507, trained for 40 steps."""
    for seed in range(3):
        images, labels = images_and_labels(40, seed=seed)
        wide = nn.Sequential(nn.Flatten(), nn.Linear(32, 14), nn.Tanh(), nn.Linear(14, 3))
        for kind, model in (
            ("softmax", build_net("softmax")),
            ("smooth_mlp", build_net("smooth_mlp")),
            ("wide", wide),
        ):
            model = train(refill(model, f"{kind} {seed}"), images, labels, steps=40, lr=0.3)
            matrix = dense_hessian(model.eval(), images, labels)
            yield (matrix + matrix.T) / 2


@pytest.fixture(scope="module")
def estimated() -> list[Estimated]:
    found = []
    for k, matrix in enumerate(small_nets()):
        eigenvalues = torch.linalg.eigvalsh(matrix).numpy()
        for seed in SEEDS:
            generator = make_generator(seed, "bands", k)
            spectrum = slq(
                DenseOperator(matrix),
                num_probes=10,
                num_steps=60,
                probe="normal",
                generator=generator,
            )
            found.append(Estimated(eigenvalues, spectrum))
    return found


def smoothed(eigenvalues: np.ndarray, grid: np.ndarray, sigma: float) -> np.ndarray:
    bells = np.exp(-0.5 * ((grid[:, None] - eigenvalues) / sigma) ** 2)
    return bells.mean(1) / (sigma * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("num_probes", [3, 4, 7, 10])
@pytest.mark.parametrize("width", [50, 200], ids=["wide", "narrow"])
def test_band_covers_the_exact_density_as_often_as_stated(num_probes, width, estimated):
    covered = []
    for e in estimated:
        low, high = e.eigenvalues[[0, -1]]
        sigma = (high - low) / width
        grid = np.linspace(low - 3 * sigma, high + 3 * sigma, 151)
        exact = smoothed(e.eigenvalues, grid, sigma)
        band = density_band(e.first(num_probes), grid, sigma)
        inside = (band.lower <= exact) & (exact <= band.upper)
        covered.append(inside[exact > 1e-3 * exact.max()])
    # Nominal .95, over thousands of correlated points. Measured: .938 to .972.
    assert 0.90 <= np.concatenate(covered).mean() <= 0.99


@pytest.mark.parametrize("num_probes", [1, 2])
def test_band_covers_at_a_lone_eigenvalue(num_probes):
    # Where few eigenvalues share the point, what is drawn there spreads most.
    eigenvalues = np.array([*np.linspace(-0.1, 0.1, 200), -1.0, 5.0, 9.0])
    grid, sigma = np.array([-1.0, 9.0]), 0.02
    values, exact = torch.from_numpy(eigenvalues), smoothed(eigenvalues, grid, sigma)
    op = LambdaOperator(lambda v: values * v, len(values))
    covered = []
    for seed in range(200):
        spectrum = slq(
            op, num_probes=num_probes, num_steps=30, probe="normal", generator=make_generator(seed)
        )
        band = density_band(spectrum, grid, sigma)
        covered.append((band.lower <= exact) & (exact <= band.upper))
    # Nominal .95, standard error .011 (400 points); with ν taken from the draw it was .87 to .91.
    assert 0.92 <= np.mean(covered) <= 0.985


def test_band_narrows_as_one_over_the_root_of_the_probes(estimated):
    ratios = []
    for e in estimated:
        sigma = float(np.ptp(e.eigenvalues)) / 20
        bulk = np.array([0.0])
        few, many = (density_band(e.first(k), bulk, sigma) for k in (1, 2))
        ratios.append(float(((few.upper - few.lower) / (many.upper - many.lower))[0]))
    # √2 where ν is large, more where it is small.
    assert 1.3 < np.median(ratios) < 1.6


def test_band_lies_around_the_density_that_is_drawn(estimated):
    spectrum = estimated[0].spectrum
    grid = np.linspace(-1, 2, 30).reshape(5, 6)
    band = density_band(spectrum, grid, 0.1)
    np.testing.assert_array_equal(band.mean, spectrum.density(grid, 0.1))
    assert band.lower.shape == band.upper.shape == grid.shape
    assert (band.lower <= band.mean).all()
    assert (band.mean <= band.upper).all()


def test_a_higher_level_gives_a_wider_band(estimated):
    grid, spectrum = np.linspace(0, 1, 7), estimated[0].spectrum
    narrow, wide = (density_band(spectrum, grid, 0.1, level) for level in (0.8, 0.99))
    assert (wide.lower < narrow.lower).all()
    assert (wide.upper > narrow.upper).all()


def test_a_spectrum_of_one_value_has_no_spread():
    op = LambdaOperator(lambda v: 2.0 * v, 50)
    spectrum = slq(op, num_probes=3, probe="normal", generator=make_generator(0))
    band = density_band(spectrum, np.array([2.0, 2.1, 50.0]), 0.1)
    # Degrees of freedom stop at 2e12: a width of 1e-6.
    np.testing.assert_allclose(band.upper, band.lower, rtol=1e-5)
    assert band.mean[2] == 0  # far out the bell underflows


@pytest.mark.parametrize("relative", [1e-3, 1e-2])
@pytest.mark.parametrize("num_probes", [1, 4, 10])
def test_interval_of_the_negative_mass_covers_the_exact_fraction(relative, num_probes, estimated):
    hits = []
    for e in estimated:
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
    entries = torch.ones(size, dtype=torch.float64)
    entries[:negative] = -1.0
    op = LambdaOperator(lambda v: entries * v, size)
    hits = []
    for seed in range(300):
        generator = make_generator(seed, "two values")
        spectrum = slq(op, num_probes=1, num_steps=5, probe="normal", generator=generator)
        found = negative_mass(spectrum)
        hits.append(found.lower <= 0.25 <= found.upper)
    # Binomial: three standard deviations of 300 draws at .95.
    assert np.mean(hits) == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 300) ** 0.5)


def test_eigenvalues_at_the_threshold_show_as_a_wide_interval():
    entries = torch.linspace(-1, 1, 200, dtype=torch.float64)
    entries[:100] = -1e-9  # half of them just below zero, where 20 steps see no difference
    op = LambdaOperator(lambda v: entries * v, 200)
    generator = make_generator(0)
    spectrum = slq(op, num_probes=4, num_steps=20, probe="normal", generator=generator)
    found = negative_mass(spectrum, 0.0)
    assert found.lower < 0.1
    assert found.upper > 0.5


def test_no_negative_eigenvalue_has_no_negative_mass():
    entries = torch.linspace(1, 2, 50, dtype=torch.float64)
    op = LambdaOperator(lambda v: entries * v, 50)
    spectrum = slq(op, num_steps=50, probe="normal", generator=make_generator(0))
    found = negative_mass(spectrum)
    assert (found.lower, found.estimate, found.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("call", [lambda s: density_band(s, np.zeros(1), 0.1), negative_mass])
def test_sign_probes_are_refused(call):
    op = LambdaOperator(lambda v: v, 10)
    with pytest.raises(InputError, match="uniform on the sphere"):
        call(slq(op, probe="rademacher", generator=make_generator(0)))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_level_must_be_a_probability(level, estimated):
    with pytest.raises(InputError, match="level"):
        density_band(estimated[0].spectrum, np.zeros(1), 0.1, level)


def test_bootstrap_covers_the_mean_of_the_images_population():
    hits = []
    for seed in range(200):
        generator = make_generator(seed, "population")
        q = torch.randn(2, 40, generator=generator, dtype=torch.float64)
        found = image_bootstrap(
            q[0] - 1, 2 * q[1] + 8, replicates=400, generator=make_generator(seed)
        )
        hits.append(
            [
                found.smallest.lower <= -1 <= found.smallest.upper,
                found.largest.lower <= 8 <= found.largest.upper,
                found.ratio.lower <= 1 / 8 <= found.ratio.upper,
            ]
        )
    # A percentile interval of 40 normal numbers covers some 1 to 2 % less than .95; 200 draws add
    # three standard deviations of .016.
    assert (np.abs(np.mean(hits, axis=0) - 0.94) < 0.05).all()


def test_bootstrap_takes_each_image_with_its_weight():
    q = torch.tensor([[-1.0, -2.0, -3.0], [4.0, 6.0, 8.0]])
    weights = torch.tensor([2.0, 0.0, 1.0])
    found = image_bootstrap(q[0], q[1], weights, generator=make_generator(0))
    assert found.smallest.estimate == pytest.approx(-5 / 3)
    assert found.largest.estimate == pytest.approx(16 / 3)
    # The second image counts for nothing; draws are mixtures of the others.
    assert (found.smallest.lower, found.smallest.upper) == (-3.0, -1.0)


def test_bootstrap_does_not_depend_on_the_unit_of_the_weights():
    q = torch.arange(12.0).reshape(2, 6) + 1
    plain, weighed = (
        image_bootstrap(q[0], q[1], w, generator=make_generator(0))
        for w in (None, torch.ones(6) * 8)
    )
    assert plain == weighed


@pytest.mark.parametrize("weights", [torch.ones(2), -torch.ones(3), torch.zeros(3)])
def test_weights_of_images_must_fit(weights):
    with pytest.raises(InputError, match="weights"):
        image_bootstrap(torch.ones(3), torch.ones(3), weights, generator=make_generator(0))


def test_bootstrap_is_around_the_means_and_repeats_with_its_generator():
    q = torch.arange(12.0).reshape(2, 6)
    one, other = (image_bootstrap(q[0], q[1], generator=make_generator(3)) for _ in range(2))
    assert one == other
    assert (one.smallest.estimate, one.largest.estimate) == (2.5, 8.5)
    assert one.ratio.estimate == 2.5 / 8.5
    assert one.smallest.lower < 2.5 < one.smallest.upper


def test_images_that_curve_alike_leave_no_interval():
    found = image_bootstrap(
        torch.full((5,), -1.0), torch.full((5,), 4.0), generator=make_generator(0)
    )
    assert (found.ratio.lower, found.ratio.upper) == (0.25, 0.25)


@pytest.mark.parametrize("shapes", [((1,), (1,)), ((3,), (4,)), ((2, 2), (2, 2))])
def test_curvatures_must_be_two_lists_of_the_same_images(shapes):
    with pytest.raises(InputError, match="curvatures"):
        image_bootstrap(*(torch.ones(s) for s in shapes), generator=make_generator(0))
