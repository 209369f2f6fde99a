import numpy as np
import pytest
import torch
from oracles import dense_tridiagonal, random_vector, symmetric_with_spectrum
from torch import Tensor

from spectra import (
    DenseOperator,
    InputError,
    LambdaOperator,
    Lanczos,
    NonFiniteError,
    SymmetricOperator,
    counted_eigenpairs,
    extreme_eigenpairs,
    lanczos_tridiag,
    slq,
)


def spectrum(kind: str) -> Tensor:
    return {
        "indefinite": torch.linspace(-3, 5, 24, dtype=torch.float64),
        "psd": torch.linspace(0, 5, 24, dtype=torch.float64),
        "clustered": torch.cat(
            [
                1 + torch.linspace(0, 1e-6, 12, dtype=torch.float64),
                torch.linspace(-2, 4, 12, dtype=torch.float64),
            ]
        ),
        "ill_conditioned": torch.logspace(0, 8, 24, dtype=torch.float64),
        "one_outlier": torch.cat([torch.linspace(-1e-3, 1e-3, 23), torch.tensor([50.0])]).double(),
    }[kind]


@pytest.fixture(params=["indefinite", "psd", "clustered", "ill_conditioned", "one_outlier"])
def eigenvalues(request) -> Tensor:
    return spectrum(request.param).sort().values


def recorded(op: SymmetricOperator) -> tuple[SymmetricOperator, list[Tensor]]:
    """Return ``op`` and a list that fills with the vectors it multiplies: the Lanczos basis."""
    seen: list[Tensor] = []

    def product(v: Tensor) -> Tensor:
        seen.append(v.clone())
        return op.matvec(v)

    return LambdaOperator(product, op.size, dtype=op.dtype), seen


def test_full_krylov_space_recovers_every_eigenvalue(eigenvalues):
    op = DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))
    t = lanczos_tridiag(op, random_vector(24, "start"), num_steps=24)
    # T is similar to H up to rounding of the products, some ulp of the largest eigenvalue.
    scale = float(eigenvalues.abs().max())
    np.testing.assert_allclose(t.ritz_values(), eigenvalues.numpy(), rtol=0, atol=1e-13 * scale)


def test_lanczos_identity_holds(eigenvalues):
    matrix = symmetric_with_spectrum(eigenvalues, seed=0)
    op, basis = recorded(DenseOperator(matrix))
    Lanczos(op, random_vector(24, "start")).run(11)
    t = lanczos_tridiag(DenseOperator(matrix), random_vector(24, "start"), num_steps=10)
    q = torch.stack(basis[:10], dim=1)
    projected = q @ torch.from_numpy(dense_tridiagonal(t.alphas, t.betas))
    projected[:, -1] += t.residual_beta * basis[10]
    # HQ = QT + β q eᵀ, where what both Gram-Schmidt passes removed is rounding of H q.
    error = float((matrix @ q - projected).abs().max())
    assert error <= 1e-13 * float(eigenvalues.abs().max())


def test_basis_is_orthonormal(eigenvalues):
    op, basis = recorded(DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0)))
    Lanczos(op, random_vector(24, "start")).run(24)
    q = torch.stack(basis, dim=1)
    # Twice is enough: two Gram-Schmidt passes leave some ulp whatever the conditioning.
    assert float((q.T @ q - torch.eye(q.shape[1])).abs().max()) <= 1e-12


def test_long_run_at_condition_1e8_stays_orthonormal():
    # Lanczos without reorthogonalisation loses all orthogonality as soon as an outlier converges.
    eigenvalues = torch.logspace(-4, 4, 300, dtype=torch.float64)
    op, basis = recorded(DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0)))
    Lanczos(op, random_vector(300, "start")).run(120)
    q = torch.stack(basis, dim=1)
    assert float((q.T @ q - torch.eye(120)).abs().max()) <= 1e-12


def test_betas_are_never_negative(eigenvalues):
    op = DenseOperator(symmetric_with_spectrum(eigenvalues, seed=0))
    assert (lanczos_tridiag(op, random_vector(24, "start"), num_steps=24).betas >= 0).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("copies", [6, 25, 100])
def test_repeated_eigenvalues_close_the_space_at_their_distinct_count(seed, copies):
    distinct = torch.tensor([-2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    op = DenseOperator(symmetric_with_spectrum(distinct.repeat_interleave(copies), seed=seed))
    t = lanczos_tridiag(op, random_vector(op.size, "start", seed), num_steps=op.size)
    assert (len(t), t.closed, t.residual_beta) == (4, True, 0.0)


def test_repeated_eigenvalues_are_found_once_each():
    distinct = torch.tensor([-2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    op = DenseOperator(torch.diag(distinct.repeat_interleave(6)))
    t = lanczos_tridiag(op, random_vector(24, "start"), num_steps=4)
    # Four steps span the four eigenspaces' components of the start: T is exact to rounding.
    np.testing.assert_allclose(t.ritz_values(), distinct.numpy(), rtol=0, atol=1e-13)


def test_zero_operator_closes_at_once_with_eigenvalue_zero():
    t = lanczos_tridiag(
        DenseOperator(torch.zeros(5, 5, dtype=torch.float64)), torch.ones(5), num_steps=5
    )
    assert (t.alphas.tolist(), t.betas.tolist(), t.residual_beta, t.closed) == ([0.0], [], 0, True)


def test_rank_one_operator_closes_after_two_steps():
    u = torch.tensor([2.0, -1.0, 0.0, 2.0], dtype=torch.float64)
    t = lanczos_tridiag(DenseOperator(torch.outer(u, u)), random_vector(4, "start"), num_steps=4)
    assert (len(t), t.closed) == (2, True)
    np.testing.assert_allclose(t.ritz_values(), [0.0, 9.0], rtol=0, atol=1e-14)  # |u|² = 9


def test_one_by_one_operator_is_its_only_entry():
    t = lanczos_tridiag(
        DenseOperator(torch.tensor([[-7.0]], dtype=torch.float64)), torch.ones(1), num_steps=1
    )
    assert (t.ritz_values().tolist(), t.quadrature_weights().tolist()) == ([-7.0], [1.0])


def test_start_in_an_invariant_subspace_sees_that_subspace_alone():
    op = DenseOperator(torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)))
    t = lanczos_tridiag(op, torch.tensor([1.0, 0.0, 1.0, 0.0]), num_steps=4)
    assert t.closed
    np.testing.assert_allclose(t.ritz_values(), [1.0, 3.0], rtol=0, atol=1e-14)


def test_closed_run_makes_no_more_steps():
    run = Lanczos(DenseOperator(torch.zeros(3, 3)), torch.ones(3)).run(3)
    assert not run.step()
    assert len(run) == 1


def test_zero_diagonal_does_not_look_closed():
    op = DenseOperator(torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64))
    t = lanczos_tridiag(op, torch.tensor([1.0, 0.0]), num_steps=2)
    np.testing.assert_allclose(t.ritz_values(), [-1.0, 1.0], rtol=0, atol=1e-15)


def test_scaling_by_a_power_of_two_scales_exactly():
    matrix = symmetric_with_spectrum(spectrum("indefinite"), seed=0)
    start = random_vector(24, "start")
    t = lanczos_tridiag(DenseOperator(matrix), start, num_steps=12)
    tiny = lanczos_tridiag(DenseOperator(matrix * 2.0**-60), start, num_steps=12)
    # No rounding differs, so nothing but an absolute threshold could tell the two apart.
    np.testing.assert_array_equal(tiny.alphas, t.alphas * 2.0**-60)
    np.testing.assert_array_equal(tiny.betas, t.betas * 2.0**-60)


@pytest.mark.parametrize("steps", [1, 7, 11, 12])
def test_leading_equals_a_run_of_as_many_steps(steps):
    op = DenseOperator(symmetric_with_spectrum(spectrum("indefinite"), seed=0))
    start = random_vector(24, "start")
    part = lanczos_tridiag(op, start, num_steps=12).leading(steps)
    short = lanczos_tridiag(op, start, num_steps=steps)
    np.testing.assert_array_equal(part.alphas, short.alphas)
    np.testing.assert_array_equal(part.betas, short.betas)
    assert (part.residual_beta, part.closed) == (short.residual_beta, short.closed)


def test_residual_bounds_are_the_residuals_of_the_ritz_vectors():
    matrix = symmetric_with_spectrum(spectrum("indefinite"), seed=0)
    run = Lanczos(DenseOperator(matrix), random_vector(24, "start")).run(9)
    t = run.tridiagonal()
    for k, theta in enumerate(t.ritz_values()):
        y = run.ritz_vector(t.ritz_coefficients()[:, k])
        residual = float((matrix @ y - theta * y).norm())
        # Equal in exact arithmetic; rounding is some ulp of ‖H‖ = 5.
        assert abs(residual - t.residual_bounds()[k]) <= 1e-13


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_product_names_its_step(bad):
    products = 0

    def fails_at_the_third(v: Tensor) -> Tensor:
        nonlocal products
        products += 1
        out = torch.arange(1.0, 7.0, dtype=torch.float64) * v
        if products == 3:
            out[2] = bad
        return out

    with pytest.raises(NonFiniteError, match="Lanczos step 3 "):
        lanczos_tridiag(LambdaOperator(fails_at_the_third, 6), random_vector(6), num_steps=6)


@pytest.mark.parametrize("num_steps", [0, -1, 7, 5.5, None])
def test_steps_out_of_range_are_refused(num_steps):
    with pytest.raises(InputError, match=rf"1\.\.6, got {num_steps}"):
        lanczos_tridiag(DenseOperator(torch.eye(6)), torch.ones(6), num_steps=num_steps)


@pytest.mark.parametrize(
    "start",
    [torch.zeros(6), torch.full((6,), float("nan")), torch.full((6,), float("inf")), torch.ones(5)],
    ids=["zero", "nan", "inf", "shape"],
)
def test_unusable_start_is_refused(start):
    with pytest.raises(InputError):
        lanczos_tridiag(DenseOperator(torch.eye(6)), start, num_steps=2)


def test_start_vector_is_not_modified():
    start = random_vector(24, "start")
    before = start.clone()
    lanczos_tridiag(DenseOperator(torch.eye(24, dtype=torch.float64)), start, num_steps=3)
    assert torch.equal(start, before)


def test_float32_operator_has_float64_scalars():
    matrix = symmetric_with_spectrum(spectrum("indefinite"), seed=0).float()
    op, basis = recorded(DenseOperator((matrix + matrix.T) / 2))
    t = lanczos_tridiag(op, random_vector(24, "start", dtype=torch.float32), num_steps=5)
    expected = [float(q.double() @ op.matvec(q).double()) for q in basis[:5]]
    # Summed in float32 they would differ by 1e-7; these differ by the order of summation at most.
    np.testing.assert_allclose(t.alphas, expected, rtol=0, atol=1e-14)


def test_a_run_stops_where_it_is_told_to_and_says_so():
    op = DenseOperator(symmetric_with_spectrum(spectrum("indefinite"), seed=0))
    run = Lanczos(op, random_vector(24, "start"))
    assert run.run_until(lambda run: len(run) == 4, 9)
    assert len(run) == 4
    assert not run.run_until(lambda _: False, 9)
    assert len(run) == 9


def test_a_run_is_asked_before_the_first_step_and_after_the_last():
    op = DenseOperator(symmetric_with_spectrum(spectrum("indefinite"), seed=0))
    asked, made = [], []
    run = Lanczos(op, random_vector(24, "start"))
    run.run_until(lambda run: bool(asked.append(len(run))), 3, on_step=made.append)
    assert asked == [0, 1, 2, 3]
    assert made == [1, 2, 3]


def test_a_run_is_not_asked_while_steps_are_unread():
    op, asked = DenseOperator(symmetric_with_spectrum(spectrum("indefinite"), seed=0)), []
    run = Lanczos(op, random_vector(24, "start"), check_every=5)
    run.run_until(lambda run: bool(asked.append(len(run))), 12)
    assert asked == [0, 5, 10]
    assert run.pending == 2


def test_a_closed_space_ends_a_run_unasked():
    asked = []
    run = Lanczos(DenseOperator(torch.eye(6, dtype=torch.float64)), torch.ones(6))
    assert not run.run_until(lambda run: bool(asked.append(len(run))), 5)
    assert (len(run), asked) == (1, [0])


@pytest.mark.parametrize(
    "asked",
    [
        extreme_eigenpairs,
        slq,
        lambda op: counted_eigenpairs(op, 1),
        lambda op: lanczos_tridiag(op, torch.ones(3), num_steps=2),
    ],
    ids=["extremes", "density", "counted", "tridiagonal"],
)
def test_a_matrix_that_is_no_operator_yet_is_refused_by_name(asked):
    with pytest.raises(InputError, match=r"got Tensor; spectra.DenseOperator\(matrix\)"):
        asked(torch.eye(3))
