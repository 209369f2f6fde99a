"""Several eigenpairs from each end: against dense spectra, and what one start vector cannot see."""

import pytest
import torch
from oracles import symmetric_with_spectrum

from spectra import DenseOperator, HessianOperator, InputError, Lanczos, extreme_eigenpairs
from spectra.krylov.extremes import extremes_of_run
from spectra.krylov.tolerance import Tolerance

DOUBLE = torch.float64


def values(pairs):
    return [pair.value for pair in pairs]


def ends_of(eigenvalues, k):
    """Return the k lowest, rising, and the k highest, falling."""
    rising = sorted(float(x) for x in eigenvalues)
    return rising[:k], rising[::-1][:k]


def with_spectrum(eigenvalues, seed=0):
    return DenseOperator(symmetric_with_spectrum(eigenvalues.to(DOUBLE), seed=seed))


def tight(op, k, **options):
    options = {"tol": 1e-9, "floor": 1e-10, "max_steps": op.size, **options}
    return extreme_eigenpairs(op, k, **options)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_pairs_of_a_network_are_those_of_its_dense_hessian(trained_net, k):
    op = HessianOperator(trained_net.model, trained_net.images, trained_net.labels, dtype=DOUBLE)
    found = tight(op, k)
    assert all(pair.converged for pair in found.pairs)
    low, high = ends_of(trained_net.eigenvalues, k)
    # Residuals of 1e-9 |θ|, errors quadratic in them; the rest is the rounding of both.
    bound = 1e-9 * trained_net.scale
    assert values(found.lowest) == pytest.approx(low, abs=bound)
    assert values(found.highest) == pytest.approx(high, abs=bound)


@pytest.mark.parametrize("steps", [6, 15, 40])
def test_each_residual_is_that_of_its_pair_and_holds_an_eigenvalue(trained_net, steps):
    op = HessianOperator(trained_net.model, trained_net.images, trained_net.labels, dtype=DOUBLE)
    found = extreme_eigenpairs(op, 3, max_steps=steps)
    for pair in found.pairs:
        residual = trained_net.hessian @ pair.vector - pair.value * pair.vector
        # Two float64 products of the same vector: some ulp of λmax apart.
        assert abs(float(residual.norm()) - pair.residual_norm) <= 1e-13 * trained_net.scale
        nearest = float((trained_net.eigenvalues - pair.value).abs().min())
        assert nearest <= pair.residual_norm + 1e-13 * trained_net.scale


def test_the_first_of_several_is_what_one_pair_is():
    op = with_spectrum(torch.linspace(-1, 3, 200))
    one, several = (extreme_eigenpairs(op, k, min_steps=90, max_steps=90) for k in (1, 4))
    assert one.smallest.value == several.smallest.value == several.lowest[0].value
    assert one.largest.value == several.largest.value == several.highest[0].value


def test_vectors_are_orthonormal():
    found = tight(with_spectrum(torch.linspace(-1, 3, 60) ** 3), 4)
    vectors = torch.stack([pair.vector for pair in found.pairs])
    # Ritz vectors of a basis that is orthonormal to float64 rounding, of 60 vectors.
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(8, dtype=DOUBLE), rtol=0, atol=1e-12)


@pytest.mark.parametrize("gap", [1e-3, 1e-5])
def test_clustered_eigenvalues_come_out_one_by_one_where_residuals_tell_them_apart(gap):
    cluster = 5 + gap * torch.arange(3, dtype=DOUBLE)
    eigenvalues = torch.cat([-2 - cluster, torch.linspace(0, 1, 60, dtype=DOUBLE), cluster])
    found = tight(with_spectrum(eigenvalues), 3)
    assert found.converged
    low, high = ends_of(eigenvalues, 3)
    assert values(found.lowest) == pytest.approx(low, abs=0.01 * gap)
    assert values(found.highest) == pytest.approx(high, abs=0.01 * gap)


def test_a_cluster_within_the_tolerance_is_a_value_within_its_residual():
    cluster = 5 + 1e-6 * torch.arange(4, dtype=DOUBLE)
    eigenvalues = torch.cat([torch.linspace(-1, 1, 60, dtype=DOUBLE), cluster])
    found = extreme_eigenpairs(with_spectrum(eigenvalues), 1, tol=1e-3, min_steps=1)
    assert found.largest.converged
    # Anywhere in the cluster, or below it by the square of the residual over the gap to the bulk.
    assert found.largest.value == pytest.approx(5, abs=1e-5)


def test_of_a_repeated_eigenvalue_one_start_vector_sees_one_copy():
    lows, highs = torch.tensor([-6.0, -5.0, -4.0]), torch.tensor([4.0, 5.0, 9.0, 9.0, 9.0])
    eigenvalues = torch.cat([lows, torch.linspace(0, 1, 200), highs])
    # Before rounding brings up copies: later all three are 9.
    found = extreme_eigenpairs(with_spectrum(eigenvalues), 3, min_steps=13, max_steps=13)
    assert values(found.highest) == pytest.approx([9, 5, 4], abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_where_spaces_close_each_new_direction_finds_one_copy_more(k):
    # Four distinct eigenvalues: a Krylov space closes after four steps.
    eigenvalues = torch.cat([torch.tensor([-1.0, 2, 2, 2, 5, 5]), torch.zeros(60)])
    found = tight(with_spectrum(eigenvalues), k)
    low, high = ends_of(eigenvalues, k)
    assert values(found.lowest) == pytest.approx(low, abs=1e-9)
    assert values(found.highest) == pytest.approx(high, abs=1e-9)
    assert found.converged


def test_all_eigenvalues_of_a_small_matrix():
    eigenvalues = torch.tensor([-3.0, 0.0, 0.0, 1.0, 8.0])
    found = tight(with_spectrum(eigenvalues), 5)
    assert values(found.lowest) == pytest.approx(sorted(eigenvalues.tolist()), abs=1e-12)
    assert values(found.highest) == values(found.lowest)[::-1]


def test_what_has_not_converged_says_so_pair_by_pair():
    # Outliers from both ends, the further inside the closer to each other.
    outliers = 2.0 ** torch.arange(1, 7)
    eigenvalues = torch.cat([-outliers, torch.linspace(-1, 1, 300), outliers])
    found = extreme_eigenpairs(with_spectrum(eigenvalues), 6, tol=1e-3, max_steps=14)
    for pairs, exact in zip((found.lowest, found.highest), ends_of(eigenvalues, 6), strict=True):
        met = [pair.converged for pair in pairs]
        assert met[0]
        assert not all(met)
        for pair, value in zip(pairs, exact, strict=True):
            # A residual of 1e-3 |θ| beside gaps of half of |θ|.
            assert not pair.converged or pair.value == pytest.approx(value, rel=1e-5)


def test_there_are_no_more_pairs_than_steps():
    found = extreme_eigenpairs(with_spectrum(torch.linspace(-1, 3, 50)), 5, max_steps=2)
    assert (len(found.lowest), len(found.highest)) == (2, 2)
    assert not found.converged


@pytest.mark.parametrize("max_basis", [14, 20])
def test_a_small_basis_finds_them_too(max_basis):
    outliers = torch.tensor([9.0, 12.0, 30.0])
    eigenvalues = torch.cat([-outliers / 3, torch.linspace(-2, 8, 290), outliers])
    found = tight(with_spectrum(eigenvalues), 3, max_basis=max_basis, max_steps=3000, tol=1e-7)
    assert found.restarts > 0
    assert found.converged
    low, high = ends_of(eigenvalues, 3)
    # Residuals of 1e-7 |θ|.
    assert values(found.lowest) == pytest.approx(low, rel=1e-7)
    assert values(found.highest) == pytest.approx(high, rel=1e-7)


def test_closed_blocks_are_kept_when_a_later_one_is_restarted():
    # The start spans three eigenvalues, two of them ends; those of the rest lie between.
    others = torch.linspace(-1, 4, 100, dtype=DOUBLE)
    op = DenseOperator(torch.diag(torch.cat([torch.tensor([-4.0, 3.0, 30.0]), others])))
    run = Lanczos(op, torch.cat([torch.ones(3), torch.zeros(100)]))
    tolerance = Tolerance(1e-7, 1e-9)
    found = extremes_of_run(run, k=2, max_basis=12, max_steps=3000, tolerance=tolerance)
    assert found.restarts > 0
    assert values(found.lowest) == pytest.approx([-4, -1], abs=1e-6)
    assert values(found.highest) == pytest.approx([30, 4], abs=1e-6)


def test_a_basis_too_small_for_the_pairs_is_refused():
    with pytest.raises(InputError, match="at least 14, got 12"):
        extreme_eigenpairs(with_spectrum(torch.linspace(-1, 3, 50)), 3, max_basis=12)


def test_steps_are_counted_up_to_where_it_converged():
    seen = []
    op = with_spectrum(torch.cat([torch.linspace(-1, 1, 200), torch.tensor([-9.0, 9.0])]))
    found = extreme_eigenpairs(
        op, min_steps=5, on_progress=lambda what, done, planned: seen.append((what, done, planned))
    )
    assert seen == [("", k, 202) for k in range(1, found.steps + 1)]
