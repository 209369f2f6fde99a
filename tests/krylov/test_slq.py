import numpy as np
import pytest
import torch
from oracles import symmetric_with_spectrum
from scipy.stats import wasserstein_distance

from spectra import (
    DenseOperator,
    InputError,
    LambdaOperator,
    NonFiniteError,
    Spectrum,
    Tridiagonal,
    draw_probe,
    make_generator,
    slq,
)

SIZE = 120
# Two clusters, a tail, a negative part: nothing that few nodes could hit by luck.
EIGENVALUES = torch.cat(
    [
        torch.linspace(-1, -0.2, 20, dtype=torch.float64),
        torch.linspace(-0.01, 0.01, 70, dtype=torch.float64),
        torch.logspace(-1, 0.6, 30, dtype=torch.float64),
    ]
)
LENGTH = float(EIGENVALUES.max() - EIGENVALUES.min())


@pytest.fixture(scope="module")
def matrix():
    return symmetric_with_spectrum(EIGENVALUES, seed=0)


@pytest.fixture(scope="module")
def diagonal():
    order = torch.randperm(SIZE, generator=make_generator(0, "order"))
    return DenseOperator(torch.diag(EIGENVALUES[order]))


def standard_error(s: Spectrum) -> float:
    return SIZE * float(s.moment_estimates(1).std(ddof=1)) / len(s.probes) ** 0.5


def estimate(op, *, seed=0, **options) -> Spectrum:
    options = {"probe": "rademacher", "generator": make_generator(seed, "slq"), **options}
    return slq(op, **options)


@pytest.mark.parametrize("probe", ["rademacher", "normal"])
@pytest.mark.parametrize("num_steps", [1, 7, 60, SIZE])
def test_weights_are_a_probability(matrix, probe, num_steps):
    s = estimate(DenseOperator(matrix), num_probes=3, num_steps=num_steps, probe=probe)
    assert (s.weights >= 0).all()
    assert abs(s.weights.sum() - 1) <= 1e-12  # squared entries of an orthogonal matrix's row


def test_nodes_rise_and_lie_within_the_spectrum(matrix):
    s = estimate(DenseOperator(matrix), num_probes=3, num_steps=30)
    assert (np.diff(s.nodes) >= 0).all()
    # Ritz values are Rayleigh quotients; rounding adds some ulp of ‖H‖ = 4.
    assert s.nodes[0] >= float(EIGENVALUES.min()) - 1e-14 * LENGTH
    assert s.nodes[-1] <= float(EIGENVALUES.max()) + 1e-14 * LENGTH


@pytest.mark.parametrize("probe", ["rademacher", "normal"])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_moments_of_a_probe_are_exact_up_to_degree_2m_minus_1(matrix, probe, num_steps):
    s = estimate(DenseOperator(matrix), num_probes=1, num_steps=num_steps, probe=probe)
    v = draw_probe(SIZE, probe=probe, generator=make_generator(0, "slq"))
    for power in range(2 * num_steps):
        exact = float(v @ torch.linalg.matrix_power(matrix, power) @ v)
        # Gauss quadrature is exact; both sides round at some ulp of ‖H‖^power.
        tolerance = 1e-13 * float(EIGENVALUES.abs().max()) ** power
        assert abs(s.moment_estimates(power)[0] - exact) <= tolerance


def test_moment_of_degree_2m_is_not_exact(matrix):
    s = estimate(DenseOperator(matrix), num_probes=1, num_steps=2)
    v = draw_probe(SIZE, probe="rademacher", generator=make_generator(0, "slq"))
    exact = float(v @ torch.linalg.matrix_power(matrix, 4) @ v)
    assert s.moment_estimates(4)[0] < exact * (1 - 1e-3)  # Gauss's error term has one sign


@pytest.mark.parametrize("num_steps", [4, 8, 16, 32, 64])
def test_distance_to_the_spectrum_is_under_the_bound_of_gauss_quadrature(diagonal, num_steps):
    # Rademacher probes weigh each eigenvalue of a diagonal matrix by exactly 1/P, so only the
    # quadrature errs. Exact to degree 2m-1, it errs on a 1-Lipschitz function by at most twice the
    # error of the best polynomial of that degree, (π/2)(L/2)/(2m) on an interval of length L by
    # Favard's theorem; the supremum over such functions is the Wasserstein-1 distance.
    s = estimate(diagonal, num_probes=1, num_steps=num_steps)
    distance = wasserstein_distance(s.nodes, EIGENVALUES.numpy(), u_weights=s.weights)
    assert distance <= np.pi * LENGTH / (4 * num_steps)


def test_distance_to_the_spectrum_shrinks_with_the_steps(diagonal):
    distances = [
        wasserstein_distance(s.nodes, EIGENVALUES.numpy(), u_weights=s.weights)
        for s in (estimate(diagonal, num_probes=1, num_steps=m) for m in (2, 8, 32, SIZE))
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] <= 1e-12  # the full Krylov space: every eigenvalue, each with weight 1/P


def test_distance_to_a_rotated_spectrum_is_quadrature_plus_sampling(matrix):
    s = estimate(DenseOperator(matrix), num_probes=6, num_steps=40)
    values, vectors = torch.linalg.eigh(matrix)
    generator = make_generator(0, "slq")
    probes = [draw_probe(SIZE, probe="rademacher", generator=generator) for _ in range(6)]
    seen = torch.stack([(vectors.T @ v) ** 2 for v in probes]).mean(0)
    dense = values.numpy()
    # The triangle inequality, with the probes' own measure in between, known exactly.
    sampling = wasserstein_distance(dense, dense, u_weights=seen.numpy())
    distance = wasserstein_distance(s.nodes, dense, u_weights=s.weights)
    assert distance <= sampling + np.pi * LENGTH / (4 * 40)


def test_trace_lies_within_four_standard_errors(matrix):
    s = estimate(DenseOperator(matrix), num_probes=30, num_steps=2)
    # Student's t with 29 degrees of freedom exceeds 4 once in 2,500 seeds; this seed is fixed.
    assert abs(s.trace - float(matrix.trace())) <= 4 * standard_error(s)


def test_trace_error_is_of_hutchinsons_size(matrix):
    off_diagonal = matrix - torch.diag(matrix.diag())
    exact = float((2 * (off_diagonal**2).sum() / 400) ** 0.5)
    s = estimate(DenseOperator(matrix), num_probes=400, num_steps=1)
    # The standard deviation of 400 near-normal values is itself known to 1/sqrt(2·400) = 3.5 %.
    assert standard_error(s) == pytest.approx(exact, rel=4 * 0.035)


def test_trace_of_a_diagonal_matrix_is_exact_with_rademacher_probes(diagonal):
    s = estimate(diagonal, num_probes=4, num_steps=10)
    # vᵀHv = Σ h_ii / P for every sign vector; rounding of P = 120 terms of size below 4.
    assert abs(s.trace - float(EIGENVALUES.sum())) <= 1e-12
    assert standard_error(s) <= 1e-12


@pytest.mark.parametrize("probe", ["rademacher", "normal"])
def test_same_seed_gives_the_same_bytes(matrix, probe):
    a, b = (estimate(DenseOperator(matrix), num_steps=9, probe=probe) for _ in range(2))
    assert (a.nodes.tobytes(), a.weights.tobytes()) == (b.nodes.tobytes(), b.weights.tobytes())


@pytest.mark.parametrize("probe", ["rademacher", "normal"])
def test_another_seed_gives_other_nodes(matrix, probe):
    a, b = (estimate(DenseOperator(matrix), num_steps=9, probe=probe, seed=k) for k in range(2))
    assert not np.array_equal(a.nodes, b.nodes)


def test_probes_differ_from_one_another(matrix):
    first, second = estimate(DenseOperator(matrix), num_probes=2, num_steps=9).probes
    assert not np.array_equal(first.alphas, second.alphas)


def test_global_generator_is_not_touched(matrix):
    before = torch.get_rng_state()
    estimate(DenseOperator(matrix), num_probes=2, num_steps=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sigma", [0.003, 0.1, 2.0])
def test_density_integrates_to_one(matrix, sigma):
    s = estimate(DenseOperator(matrix), num_probes=2, num_steps=25)
    grid = np.arange(s.nodes[0] - 9 * sigma, s.nodes[-1] + 9 * sigma, sigma / 4)
    # Riemann sums of a Gaussian at σ/4 err below 1e-30; beyond 9σ lies less than 1e-18.
    assert abs(s.density(grid, sigma).sum() * sigma / 4 - 1) <= 1e-12


def test_full_krylov_density_equals_the_dense_one(diagonal):
    s = estimate(diagonal, num_probes=2, num_steps=SIZE)
    grid, sigma = np.linspace(-1.5, 4.5, 300), 0.05
    bells = np.exp(-0.5 * ((grid[:, None] - EIGENVALUES.numpy()) / sigma) ** 2)
    dense = bells.mean(1) / (sigma * np.sqrt(2 * np.pi))
    # Weights are exactly 1/P here, see above; nodes err by 1e-14, the density's slope is below 1e2.
    np.testing.assert_allclose(s.density(grid, sigma), dense, rtol=0, atol=1e-11)


def test_density_keeps_the_shape_of_the_grid(diagonal):
    grid = np.linspace(-1, 1, 6).reshape(2, 3)
    assert estimate(diagonal, num_steps=3).density(grid, 0.1).shape == (2, 3)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
def test_sigma_must_be_positive(diagonal, sigma):
    with pytest.raises(InputError, match="sigma"):
        estimate(diagonal, num_steps=3).density(np.zeros(1), sigma)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-2.0, 8.0, 1e-2), (0.0, 0.5, 1e-5**0.5), (-300.0, 700.0, 0.1)],
    ids=["range 10", "range below 1", "range 1000"],
)
def test_reference_sigma_is_that_of_the_papers_code(low, high, expected):
    probe = Tridiagonal(np.array([low, high]), np.array([0.0]), 0.0, closed=True)
    assert Spectrum((probe,), 2).reference_sigma() == pytest.approx(expected, rel=1e-15)


def test_scaled_equals_the_spectrum_of_the_scaled_operator(matrix):
    scaled = estimate(DenseOperator(matrix), num_probes=2, num_steps=9).scaled(0.25)
    direct = estimate(DenseOperator(0.25 * matrix), num_probes=2, num_steps=9)
    # A power of two rounds nowhere, so T agrees to the last bit.
    for a, b in zip(scaled.probes, direct.probes, strict=True):
        np.testing.assert_array_equal(a.alphas, b.alphas)
        np.testing.assert_array_equal(a.betas, b.betas)
        assert (a.residual_beta, a.closed) == (b.residual_beta, b.closed)


def test_more_steps_than_parameters_are_cut_to_their_number():
    op = DenseOperator(torch.diag(torch.arange(1.0, 6.0, dtype=torch.float64)))
    assert len(estimate(op, num_steps=80).probes[0]) == 5


def test_steps_are_reported_up_to_the_planned_number(diagonal):
    reports = []
    estimate(diagonal, num_probes=2, num_steps=3, on_progress=lambda *r: reports.append(r))
    assert reports == [("", k, 6) for k in range(1, 7)]


@pytest.mark.parametrize("options", [
    {"num_probes": 0}, {"num_steps": 0}, {"probe": "uniform"},
    {"num_probes": 1.5}, {"num_steps": 5.5}, {"num_steps": float("nan")}, {"num_steps": None},
])  # fmt: skip
def test_numbers_out_of_range_are_refused(diagonal, options):
    with pytest.raises(InputError):
        estimate(diagonal, **options)


def test_what_is_no_generator_is_refused_with_how_to_make_one(diagonal):
    with pytest.raises(InputError, match=r"got int; .*make_generator\(seed\)"):
        slq(diagonal, generator=0)


def test_probes_follow_from_the_seed_and_from_the_label_alone(diagonal):
    def nodes(seed, label):
        diagonal.label = label
        return slq(diagonal, seed=seed, num_probes=1, num_steps=5).nodes.tolist()

    assert nodes(0, "8") == nodes(0, "8")
    assert nodes(0, "8") != nodes(1, "8")
    assert nodes(0, "8") != nodes(0, "9")


def test_a_number_of_steps_may_be_numpys(diagonal):
    assert len(estimate(diagonal, num_steps=np.int64(5)).probes[0]) == 5


def test_non_finite_product_names_probe_and_step(diagonal):
    products = []

    def fails_at_the_sixth(v):
        products.append(v)
        return diagonal.matvec(v) * (float("nan") if len(products) == 6 else 1.0)

    with pytest.raises(NonFiniteError, match=r"probe 2: .*step 2 "):
        estimate(LambdaOperator(fails_at_the_sixth, SIZE), num_probes=3, num_steps=4)


@pytest.mark.parametrize("probe", ["rademacher", "normal"])
def test_probe_has_length_one(probe):
    v = draw_probe(1000, probe=probe, generator=make_generator(3))
    assert abs(float(v.norm()) - 1) <= 1e-15 * 10


def test_rademacher_probe_has_entries_of_one_size():
    v = draw_probe(1000, probe="rademacher", generator=make_generator(3))
    assert torch.equal(v.abs(), torch.full_like(v, float(v[0].abs())))
    # 1,000 fair signs: five standard deviations, 158, once in two million seeds.
    assert abs(float(v.sign().sum())) <= 158
