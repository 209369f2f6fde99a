"""The k eigenpairs at each end, copies counted, against dense eigenvalues."""

import pytest
import torch
from oracles import hessian_of, symmetric_with_spectrum

from spectra import DenseOperator, Eigenpair, InputError, counted_eigenpairs
from spectra.findings.counted_eigenpairs import _Known
from spectra.krylov.tolerance import Tolerance

DOUBLE = torch.float64
TIGHT = {"tol": 1e-9, "floor": 1e-11}
BULK = torch.linspace(-0.5, 0.5, 180, dtype=DOUBLE)
# Eigenvalues beside the bulk.
SPECTRA = {
    "simple": [-3.0, -2.5, -2.0, -1.5, 4.0, 5.0, 6.0, 7.0],
    "doubled": [-3.0, -3.0, -2.0, -2.0, 5.0, 5.0, 7.0, 7.0],
    "one of five": [-2.0, 7.0, 7.0, 7.0, 7.0, 7.0],
    "negative alone": [-9.0, -9.0, -8.0, -7.0],
}


def operator(outside: list[float]) -> tuple[DenseOperator, torch.Tensor]:
    values = torch.cat([torch.tensor(outside, dtype=DOUBLE), BULK]).sort().values
    return DenseOperator(symmetric_with_spectrum(values, seed=0)), values


def assert_pairs(found, values, matvec, k, *, size):
    low = torch.tensor([p.value for p in found.lowest], dtype=DOUBLE)
    high = torch.tensor([p.value for p in found.highest], dtype=DOUBLE)
    # The error of a value is quadratic in the residual, 1e-9 of it; what is left is rounding.
    torch.testing.assert_close(low, values[:k], rtol=0, atol=1e-12 * size)
    torch.testing.assert_close(high, values.flip(0)[:k], rtol=0, atol=1e-12 * size)
    for pair in found.pairs:
        residual = float((matvec(pair.vector) - pair.value * pair.vector).norm())
        assert residual == pytest.approx(pair.residual_norm, abs=1e-12 * size)
    for pairs in (found.lowest, found.highest):
        vectors = torch.stack([pair.vector for pair in pairs])
        identity = torch.eye(k, dtype=DOUBLE)
        torch.testing.assert_close(vectors @ vectors.T, identity, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("k", [1, 4])
def test_values_are_the_dense_ones_as_often_as_they_are(name, k):
    op, values = operator(SPECTRA[name])
    found = counted_eigenpairs(op, k, max_steps=180, **TIGHT)
    assert_pairs(found, values, op.matvec, k, size=9)
    assert found.converged


def test_pairs_of_a_hessian_are_those_of_the_dense_one(net):
    op = hessian_of(net)
    found = counted_eigenpairs(op, 6, **TIGHT)
    assert_pairs(found, net.eigenvalues, op.matvec, 6, size=net.scale)
    assert found.proven
    assert all(pair.scale > 0 for pair in found.pairs)


def test_values_of_float32_products_come_from_float64_ones(net):
    found = counted_eigenpairs(hessian_of(net, dtype=torch.float32), 3, tol=1e-3)
    # A residual of 1e-3 leaves an error of 1e-6 over the gap to the next eigenvalue.
    assert found.largest.value == pytest.approx(float(net.eigenvalues[-1]), rel=1e-4)
    assert found.proven
    again = hessian_of(net) @ found.largest.vector
    assert float(found.largest.vector @ again) == pytest.approx(found.largest.value, rel=1e-12)


def test_within_few_vectors_the_values_are_the_same():
    op, values = operator(SPECTRA["doubled"])
    found = counted_eigenpairs(op, 4, max_steps=2000, max_basis=40, **TIGHT)
    assert_pairs(found, values, op.matvec, 4, size=9)


def test_ends_overlap_where_there_are_few_eigenvalues():
    values = torch.tensor([-1.0, 2.0, 2.0], dtype=DOUBLE)
    found = counted_eigenpairs(DenseOperator(symmetric_with_spectrum(values, seed=0)), 3, **TIGHT)
    assert [round(p.value, 9) for p in found.lowest] == [-1.0, 2.0, 2.0]
    assert [round(p.value, 9) for p in found.highest] == [2.0, 2.0, -1.0]


def test_zeros_are_not_counted_to_the_end():
    values = torch.cat([torch.zeros(150, dtype=DOUBLE), torch.linspace(1, 5, 20, dtype=DOUBLE)])
    op = DenseOperator(symmetric_with_spectrum(values, seed=0))
    found = counted_eigenpairs(op, 5)
    assert max(abs(p.value) for p in found.lowest) <= 1e-4 * 5
    assert found.largest.value == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize("k", [0, 200, 1.5])
def test_a_number_of_pairs_out_of_range_is_refused(k):
    with pytest.raises(InputError, match=r"k must be an integer in 1\.\.188"):
        counted_eigenpairs(operator(SPECTRA["simple"])[0], k)


def test_what_lies_between_the_k_at_each_end_is_not_taken():
    op = DenseOperator(torch.diag(torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], dtype=DOUBLE)))
    known, tolerance = _Known(op, 1), Tolerance(1e-6, 1e-6)
    one, *_, last = pairs = [
        Eigenpair(float(i), row, 0.0, True) for i, row in enumerate(torch.eye(6, dtype=DOUBLE))
    ]
    assert known.add([pairs[2]], tolerance)
    assert known.add([one, last], tolerance)
    assert not known.add(pairs[1:5], tolerance)
    assert known.values == [2.0, 0.0, 5.0]


def test_a_pair_within_the_tolerance_of_the_kth_is_taken_for_it():
    op = DenseOperator(torch.eye(4, dtype=DOUBLE))
    rows = torch.eye(4, dtype=DOUBLE)
    known, tolerance = _Known(op, 1), Tolerance(0.1, 1e-6)  # within 1 of -10 and 10, .1 of 1
    known.add(
        [Eigenpair(v, rows[i], 0.0, True) for i, v in enumerate((-10.0, 1.0, 10.0))], tolerance
    )
    assert not known.add([Eigenpair(-10.5, rows[3], 0.0, True)], tolerance)
    assert not known.add([Eigenpair(10.5, rows[3], 0.0, True)], tolerance)
    assert known.add([Eigenpair(-11.5, rows[3], 0.0, True)], tolerance)
