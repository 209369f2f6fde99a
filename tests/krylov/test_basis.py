import numpy as np
import pytest
import torch
from oracles import random_vector, symmetric_with_spectrum

from spectra import DenseOperator, InputError, LambdaOperator, Lanczos, NonFiniteError
from spectra.krylov.basis import bytes_per_vector, fixed_bytes, make_basis
from spectra.krylov.defaults import STORAGES

# Of the largest eigenvalue. device, host: rounding; half: float16 has 11 bits, and the values are
# far better than its vectors; none: extremes are right though copies of them appear.
TOLERANCES = {"device": 1e-10, "host": 1e-10, "half": 1e-3, "sharded": 1e-10, "none": 1e-8}
SPECTRA = {
    "outliers": torch.cat(
        [torch.tensor([-3.0]), torch.linspace(-0.5, 1, 196), torch.tensor([6.0, 8.0, 20.0])]
    ).double(),
    "two_sided": torch.cat(
        [torch.tensor([-50.0, -20.0]), torch.linspace(-1, 1, 196), torch.tensor([30.0, 40.0])]
    ).double(),
}


@pytest.fixture(params=list(SPECTRA))
def op(request):
    return DenseOperator(symmetric_with_spectrum(SPECTRA[request.param], seed=0))


def run(op, storage, steps, **options) -> Lanczos:
    return Lanczos(op, random_vector(op.size, "start"), basis=storage, **options).run(steps)


def eigenvalues(op):
    return torch.linalg.eigvalsh(op.matrix).numpy()


@pytest.mark.parametrize("storage", STORAGES)
def test_extremes_of_every_storage_are_those_of_the_matrix(op, storage):
    exact = eigenvalues(op)
    found = run(op, storage, 150).tridiagonal().ritz_values()
    bound = TOLERANCES[storage] * np.abs(exact).max()
    assert abs(found[-1] - exact[-1]) <= bound
    assert abs(found[0] - exact[0]) <= bound


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("steps", [20, 120])
def test_density_moments_of_every_storage_agree(op, storage, steps):
    expected = run(op, "device", steps).tridiagonal()
    found = run(op, storage, steps).tridiagonal()
    scale = np.abs(eigenvalues(op)).max()
    for power in range(1, 9):
        a, b = (
            (t.quadrature_weights() * (t.ritz_values() / scale) ** power).sum()
            for t in (expected, found)
        )
        assert abs(a - b) <= TOLERANCES[storage]


def test_ghosts_share_the_weight_of_their_eigenvalue():
    op = DenseOperator(symmetric_with_spectrum(SPECTRA["outliers"], seed=0))
    t, exact = (run(op, s, 150).tridiagonal() for s in ("none", "device"))
    copies = np.abs(t.ritz_values() - 20) < 1e-6
    assert copies.sum() > 1
    weight = exact.quadrature_weights()[-1]
    assert t.quadrature_weights()[copies].sum() == pytest.approx(weight, rel=1e-6)


@pytest.mark.parametrize(("storage", "bound"), [("device", 1e-12), ("host", 1e-12), ("half", 1e-3)])
def test_complete_storages_stay_orthogonal(op, storage, bound):
    lanczos = run(op, storage, 100)
    q = lanczos.ritz_vectors(np.eye(100))
    assert float((q @ q.T - torch.eye(100)).abs().max()) <= bound


@pytest.mark.parametrize("storage", STORAGES)
def test_ritz_vectors_have_the_residuals_that_the_recurrence_tells(op, storage):
    lanczos = run(op, storage, 40)
    t = lanczos.tridiagonal()
    first, last = lanczos.unit_ritz_vectors(t.ritz_coefficients()[:, [0, -1]])
    scale = np.abs(eigenvalues(op)).max()
    for y, k in ((first, 0), (last, -1)):
        residual = float((op.matrix @ y - t.ritz_values()[k] * y).norm())
        # none: until copies appear, its vectors are those of the recurrence.
        assert residual <= t.residual_bounds()[k] + max(TOLERANCES[storage], 1e-7) * scale


@pytest.mark.parametrize("storage", STORAGES)
def test_both_forms_of_ritz_vectors_agree(op, storage):
    lanczos = run(op, storage, 12)
    s = lanczos.tridiagonal().ritz_coefficients()
    many = lanczos.ritz_vectors(s)
    torch.testing.assert_close(
        many[3] / many[3].norm(), lanczos.ritz_vector(s[:, 3]), rtol=0, atol=1e-12
    )


def test_the_second_pass_of_none_takes_as_many_products(op):
    seen = []
    counted = LambdaOperator(lambda v: seen.append(1) or op.matvec(v), op.size)
    lanczos = run(counted, "none", 30)
    coefficients = lanczos.tridiagonal().ritz_coefficients()
    lanczos.unit_ritz_vectors(coefficients[:, [0, -1]])
    assert len(seen) == 30 + 29  # the last vector needs no product


@pytest.mark.parametrize("entries", [None, 64], ids=["whole", "in pieces"])
@pytest.mark.parametrize("storage", ["host", "half"])
def test_storages_in_several_slabs_equal_one(op, storage, entries, monkeypatch):
    if entries:  # as large vectors are worked on
        monkeypatch.setattr("spectra.krylov.basis.host.PIECE", 0)
        monkeypatch.setattr("spectra.krylov.basis.host._ENTRIES", entries)
    lanczos = run(op, storage, 21)
    basis = lanczos.basis
    rows = basis._columns(22, slice(None))
    w = random_vector(op.size, "w")
    whole = w - rows.T @ (rows @ w)
    # half takes the last two vectors out in full precision first
    torch.testing.assert_close(basis.orthogonalise(w), whole, rtol=0, atol=TOLERANCES[storage])


def test_large_vectors_have_room_at_once_and_the_bytes_of_a_room_that_grows(op, monkeypatch):
    grown = run(op, "device", 30)
    monkeypatch.setattr("spectra.krylov.basis.device._LARGE", 0)
    whole = run(op, "device", 30)
    assert len(whole.basis._rows) == op.size + 1
    assert whole.alphas == grown.alphas
    assert torch.equal(whole.basis._rows[:31], grown.basis._rows[:31])


def test_memory_held_is_as_stated():
    size = 10_000
    op = LambdaOperator(lambda v: v, size, dtype=torch.float32)
    for storage in STORAGES:
        basis = make_basis(op, storage, 24)
        for k in range(24):
            basis.append(random_vector(size, k) / size**0.5)
        assert basis.bytes == 24 * bytes_per_vector(op, storage) + fixed_bytes(op, storage)
    assert bytes_per_vector(op, "half") == 2 * size
    assert fixed_bytes(op, "none") == 3 * 4 * size


def test_half_keeps_entries_that_float16_alone_would_lose():
    op = LambdaOperator(lambda v: v, 2**20, dtype=torch.float32)
    basis = make_basis(op, "half")
    q = random_vector(2**20, "q")
    q /= q.norm()  # 1e-3, and a thousandth of that is a subnormal of float16
    basis.append(q)
    kept = basis.combine(np.ones(1))
    assert float((kept - q).norm()) <= 3e-4


@pytest.mark.parametrize("storage", ["device", "host", "half"])
def test_replace_combines_in_place_and_leaves_the_newest(op, storage):
    lanczos = run(op, storage, 20)
    basis, newest = lanczos.basis, lanczos.basis.last().clone()
    coefficients = np.zeros((21, 4))
    coefficients[:20, :3] = np.linalg.qr(random_vector(60, "c").view(20, 3).numpy())[0]
    coefficients[20, 3] = 1
    expected = basis.combine(coefficients[:, 1])
    basis.replace(coefficients)
    assert len(basis) == 4
    assert torch.equal(basis.last(), newest)
    found = basis.combine(np.array([0.0, 1, 0, 0]))
    assert float((found - expected).norm()) <= TOLERANCES[storage]


def test_unknown_storage_is_refused(op):
    with pytest.raises(InputError, match="device, host, half, sharded, none, got 'disk'"):
        Lanczos(op, torch.ones(op.size), basis="disk")


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("steps", [1, 7, 12])
def test_reading_late_gives_the_same_run(op, storage, steps):
    now, late = (run(op, storage, steps, check_every=every).tridiagonal() for every in (1, 5))
    np.testing.assert_array_equal(late.alphas, now.alphas)
    np.testing.assert_array_equal(late.betas, now.betas)
    assert (late.residual_beta, late.closed) == (now.residual_beta, now.closed)


@pytest.mark.parametrize("steps", [3, 4, 6, 9, 30])
def test_a_space_that_closed_between_readings_is_cut_back(steps):
    distinct = torch.tensor([-2.0, 1.0, 3.0], dtype=torch.float64)
    op = DenseOperator(symmetric_with_spectrum(distinct.repeat_interleave(10), seed=0))
    late = run(op, "device", steps, check_every=5)
    t = late.tridiagonal()
    assert (len(late), len(late.basis), t.closed, t.residual_beta) == (3, 3, True, 0.0)
    np.testing.assert_allclose(t.ritz_values(), distinct, rtol=0, atol=1e-13)
    assert late.begin_new_block(random_vector(30, "new"))
    assert len(late.run(5)) == 5


def test_reading_late_reads_less_often(op, monkeypatch):
    reads = []
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda t: reads.append(1) or original(t))
    run(op, "device", 20, check_every=5)
    assert len(reads) == 4


@pytest.mark.parametrize("every", [1, 5])
def test_a_product_that_fails_names_its_step_however_late(every):
    products = []

    def fails_at_the_third(v):
        products.append(1)
        return (
            torch.arange(1.0, 41, dtype=torch.float64)
            * v
            * (float("nan") if len(products) == 3 else 1.0)
        )

    lanczos = Lanczos(LambdaOperator(fails_at_the_third, 40), random_vector(40), check_every=every)
    with pytest.raises(NonFiniteError, match="Lanczos step 3 "):
        lanczos.run(20)
    assert (len(lanczos), len(lanczos.basis)) == (2, 3)


def test_half_still_takes_its_newest_vector_out_in_full_where_later_ones_are_forgotten():
    op = LambdaOperator(lambda v: v, 1000, dtype=torch.float32)
    basis = make_basis(op, "half")
    for name in "abc":
        q = basis.orthogonalise(random_vector(1000, name))
        basis.append(q / q.norm())
    basis.truncate(2)
    # Of float32; what float16 alone would leave is 3e-4.
    assert float(basis.orthogonalise(basis.last().double()).norm()) <= 1e-6
