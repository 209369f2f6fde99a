from dataclasses import replace

import pytest
import torch
from oracles import build_net, dense_hessian, images_and_labels, symmetric_with_spectrum
from test_density_by_active_images import fitted, spectrum_of

from spectra import DenseOperator, HessianOperator, InputError, Lanczos, draw_probe, make_generator
from spectra.active import choose, cold_check
from spectra.active import extremes_by_active_images as active
from spectra.active.choose import choose_active
from spectra.active.extremes_by_active_images import extremes_by_active_images
from spectra.active.jacobi_davidson import PartModel, Subspace
from spectra.active.refining import Refining
from spectra.krylov.tolerance import Tolerance

DOUBLE = torch.float64


def operator(kind, seed, **options):
    model, images, labels = fitted(kind, seed)
    op = HessianOperator(model, images, labels, check=False, **{"dtype": DOUBLE, **options})
    return op, spectrum_of(kind, seed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["conv_resnet", "smooth_mlp", "mlp_bn"])
def test_the_ratio_of_a_converged_pair_is_within_one_percent_of_the_dense_one(kind, seed):
    op, eigenvalues = operator(kind, seed)
    found = extremes_by_active_images(op, generator=make_generator(seed))
    assert found.smallest.converged
    assert found.largest.converged
    ratio = found.smallest.value / found.largest.value
    exact = float(eigenvalues[0] / eigenvalues[-1])
    # Where λmin is under the floor of 1e-4 λmax it counts as zero.
    assert abs(ratio - exact) <= max(0.01 * abs(exact), 1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_values_and_residuals_are_those_of_all_images(seed):
    model, images, labels = fitted("conv_resnet", seed)
    op = HessianOperator(model, images, labels, dtype=DOUBLE, check=False)
    matrix = dense_hessian(model, images, labels)
    found = extremes_by_active_images(op, generator=make_generator(seed))
    assert found.images_used == "active"
    for pair in (found.smallest, found.largest):
        y = pair.vector
        # Two float64 products of one vector: some ulp of λmax apart.
        bound = 1e-12 * float(matrix.norm())
        assert abs(float(y @ matrix @ y) - pair.value) <= bound
        assert abs(float((matrix @ y - pair.value * y).norm()) - pair.residual_norm) <= bound


def test_corrections_are_reported_as_steps_are():
    op, _ = operator("conv_resnet", 0)
    seen = []
    found = extremes_by_active_images(
        op,
        generator=make_generator(0),
        on_progress=lambda _, done, limit: seen.append((done, limit)),
    )
    assert found.refinements > 0
    made = found.steps + found.refinements
    assert seen == [(k, min(300, op.size)) for k in range(1, made + 1)]


def test_active_images_cost_less_than_lanczos_on_all(monkeypatch):
    monkeypatch.setattr(cold_check, "FREE_NUMBERS", 0)  # as on a large network
    op, _ = operator("conv_resnet", 2)
    found = extremes_by_active_images(op, generator=make_generator(0))
    run = Lanczos(op, draw_probe(op.size, probe="normal", generator=make_generator(0)))
    before = op.count.total
    while True:
        run.step()
        t = run.tridiagonal()
        values, residuals = t.ritz_values()[[0, -1]], t.residual_bounds()[[0, -1]]
        if len(run) > 2 and (residuals <= 0.05 * abs(values)).all():
            break
    assert found.images_used == "active"
    assert before < op.count.total - before


def test_all_images_are_used_where_scores_do_not_differ():
    assert choose_active(torch.ones(500)).index is None
    assert choose_active(torch.zeros(500)).index is None
    assert choose_active(torch.tensor([5.0] * 10)).index is None


def test_the_images_of_highest_score_are_chosen():
    scores = torch.rand(500, generator=make_generator(0)) ** 8
    chosen = choose_active(scores)
    assert chosen.index is not None
    assert set(chosen.index.tolist()) <= set(chosen.middle.tolist())
    assert float(scores[chosen.middle].sum() / scores.sum()) >= 0.995
    assert len(chosen.middle) < 400
    left_out = torch.ones(500, dtype=torch.bool)
    left_out[chosen.index] = False
    assert scores[chosen.index].min() >= scores[left_out].max()
    assert chosen.share == pytest.approx(float(scores[chosen.index].sum() / scores.sum()))


@pytest.mark.parametrize("seed", range(3))
def test_ends_that_the_middle_gets_wrong_are_refined_on_all_images(seed, monkeypatch):
    op, eigenvalues = operator("conv_resnet", seed)
    whole = extremes_by_active_images(op, generator=make_generator(seed))
    # So few images that what they leave out fails the check.
    monkeypatch.setattr(choose, "NEARLY_ALL", 0.0)
    monkeypatch.setattr(choose, "IS_LIKE_ALL", 0.0)
    monkeypatch.setattr(active, "IS_LIKE_ALL", 0.0)
    op, _ = operator("conv_resnet", seed)
    assert len(choose_active(op.scores()).middle) <= 0.2 * op.num_images
    found = extremes_by_active_images(op, generator=make_generator(seed))
    assert found.smallest.converged
    assert found.largest.converged
    assert found.smallest.value == pytest.approx(float(eigenvalues[0]), rel=0.01)
    assert found.largest.value == pytest.approx(float(eigenvalues[-1]), rel=0.01)
    assert found.refinements > 0
    assert whole.smallest.value == pytest.approx(found.smallest.value, rel=0.01)


@pytest.mark.parametrize("proof", [True, False])
def test_ends_that_are_only_mixed_with_each_other_are_told_apart(proof):
    model, images, labels = fitted("conv_resnet", 0)
    op = HessianOperator(model, images, labels, dtype=DOUBLE, check=False)
    values, vectors = torch.linalg.eigh(dense_hessian(model, images, labels))
    low, high = vectors[:, 0], vectors[:, -1]
    mixing = 0.05 * float(values[0].abs() / (values[-1] - values[0]))  # a residual of 5 %
    mixed = Subspace(op)
    mixed.extend([low + mixing * high, high - mixing * low])
    refining = Refining(
        op=op,
        model=active.PartModel(op, vectors.T[:2].contiguous(), torch.diag(values[:2]).numpy()),
        growth=(0, 0),
        tolerance=Tolerance(0.03),
        proof=proof,
        generator=None,
    )
    checked = refining.settle(mixed)
    assert [p.converged for p in checked.pairs] == [True, True]
    assert checked.pairs[0].value == pytest.approx(float(values[0]), rel=1e-6)


def test_a_cold_run_over_all_images_bounds_the_spectrum_from_outside():
    images, labels = images_and_labels(20)
    model = build_net("smooth_mlp").eval()
    op = HessianOperator(model, images, labels, dtype=DOUBLE, check=False)
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(model, images, labels))
    found = extremes_by_active_images(op, generator=make_generator(0))
    assert found.outer_bounds is not None
    assert found.outer_bounds.below <= float(eigenvalues[0]) <= found.smallest.value + 1e-12
    assert found.largest.value - 1e-12 <= float(eigenvalues[-1]) <= found.outer_bounds.above


def test_nothing_is_bounded_after_a_selection_or_a_warm_start():
    op, _ = operator("conv_resnet", 0)
    cold = extremes_by_active_images(op, generator=make_generator(0))
    warm = extremes_by_active_images(op, generator=make_generator(1), warm=cold)
    assert cold.outer_bounds is None
    assert warm.outer_bounds is None
    assert (cold.start, warm.start) == ("cold", "warm")


def test_a_warm_start_ends_at_the_same_values():
    op, eigenvalues = operator("conv_resnet", 1)
    cold = extremes_by_active_images(op, generator=make_generator(0))
    warm = extremes_by_active_images(op, generator=make_generator(1), warm=cold)
    for pair, exact in ((warm.smallest, eigenvalues[0]), (warm.largest, eigenvalues[-1])):
        assert abs(pair.value - float(exact)) <= 0.01 * abs(float(exact))


def test_a_warm_start_that_is_orthogonal_to_the_extremes_finds_them_all_the_same():
    op, eigenvalues = operator("smooth_mlp", 0)
    matrix = op.dense()
    vectors = torch.linalg.eigh((matrix + matrix.T) / 2).eigenvectors
    good = extremes_by_active_images(op, generator=make_generator(0))
    wrong = good.with_pairs(
        (
            replace(good.smallest, vector=vectors[:, 40].clone()),
            replace(good.largest, vector=vectors[:, 50].clone()),
        )
    )
    found = extremes_by_active_images(op, generator=make_generator(1), warm=wrong)
    assert abs(found.largest.value - float(eigenvalues[-1])) <= 0.01 * float(eigenvalues[-1])
    assert abs(found.smallest.value - float(eigenvalues[0])) <= max(
        0.01 * abs(float(eigenvalues[0])), 1e-4 * float(eigenvalues[-1])
    )


def test_proof_comes_from_float64_second_derivatives_that_cost_two_passes():
    op, _ = operator("conv_resnet", 0, dtype=torch.float32)
    found = extremes_by_active_images(op, generator=make_generator(0))
    assert found.images_used == "active"
    assert found.proven
    assert all(pair.residual_rounding > 0 for pair in found.pairs)
    plain, _ = operator("conv_resnet", 0, dtype=torch.float32)
    quick = extremes_by_active_images(plain, generator=make_generator(0), proof=False)
    assert not quick.proven
    # Half a float64 product, which counts twice, for each of two ends; the rest is the same.
    assert op.count.total - plain.count.total == pytest.approx(2 * op.num_images)


def test_values_without_a_float64_pass_are_not_called_proven():
    op, _ = operator("conv_resnet", 0)
    assert op.dtype == torch.float64
    found = extremes_by_active_images(op, generator=make_generator(0), proof=False)
    checked = extremes_by_active_images(op, generator=make_generator(0))
    assert (found.proven, checked.proven) == (False, True)


def test_a_warm_start_of_another_size_is_refused():
    op, _ = operator("smooth_mlp", 0)
    other, _ = operator("conv_resnet", 0)
    found = extremes_by_active_images(other, generator=make_generator(0))
    with pytest.raises(InputError, match="parameters"):
        extremes_by_active_images(op, generator=make_generator(0), warm=found)


def test_a_subspace_of_eigenvectors_returns_their_pairs():
    eigenvalues = torch.tensor([-2.0, -1.0, 0.5, 3.0, 7.0], dtype=DOUBLE)
    matrix = symmetric_with_spectrum(eigenvalues, seed=0)
    vectors = torch.linalg.eigh(matrix).eigenvectors
    sub = Subspace(DenseOperator(matrix))
    sub.extend([vectors[:, 0], vectors[:, 4] + vectors[:, 0]])
    for index, exact in ((0, -2.0), (-1, 7.0)):
        value, vector, residual = sub.pair(index)
        # Some ulp of 7 in five dimensions.
        assert value == pytest.approx(exact, abs=1e-13)
        assert float(residual.norm()) <= 1e-13
        assert float(vector.norm()) == pytest.approx(1.0, abs=1e-14)


def test_a_vector_inside_the_subspace_is_left_out():
    sub = Subspace(DenseOperator(torch.eye(4, dtype=DOUBLE)))
    assert sub.extend([torch.tensor([1.0, 0, 0, 0], dtype=DOUBLE)]) == 1
    assert sub.extend([torch.tensor([-3.0, 0, 0, 0], dtype=DOUBLE)]) == 0


def test_a_correction_by_the_exact_matrix_solves_the_projected_shifted_equation():
    eigenvalues = torch.tensor([-2.0, -1.0, 0.5, 3.0, 7.0], dtype=DOUBLE)
    matrix = symmetric_with_spectrum(eigenvalues, seed=1)
    model = PartModel(DenseOperator(matrix), torch.eye(5, dtype=DOUBLE), matrix.numpy())
    residual = torch.arange(1.0, 6.0, dtype=DOUBLE)
    y = torch.full((5,), 5**-0.5, dtype=DOUBLE)
    # No gap here is under a tenth of 1.5, so nothing is clipped.
    t = model.correction(residual, 1.5, y)
    assert abs(float(t @ y)) <= 1e-12 * float(t.norm())
    rest = matrix @ t - 1.5 * t + residual
    torch.testing.assert_close(rest, (rest @ y) * y, rtol=0, atol=1e-11)


def test_a_model_grows_into_what_its_operator_does_along_a_direction():
    matrix = symmetric_with_spectrum(torch.linspace(-3, 9, 12, dtype=DOUBLE), seed=2)
    op = DenseOperator(matrix)
    run = Lanczos(op, torch.ones(12, dtype=DOUBLE)).run(4)
    model = PartModel.of(run, scale=1.25)
    direction = torch.randn(12, generator=make_generator(0), dtype=DOUBLE)
    model.grow(direction, 3)
    q = model.vectors
    assert q.shape == (7, 12)
    torch.testing.assert_close(q @ q.T, torch.eye(7, dtype=DOUBLE), rtol=0, atol=1e-13)
    exact = torch.from_numpy(model.matrix)
    torch.testing.assert_close(q @ matrix @ q.T, exact, rtol=0, atol=1e-12)
    # The direction lies inside, and the products with the first two of the new vectors.
    for v in (direction, matrix @ q[4], matrix @ q[5]):
        torch.testing.assert_close((q @ v) @ q, v, rtol=0, atol=1e-11)


def test_a_model_stops_growing_at_twice_the_run_and_inside_its_span():
    matrix = symmetric_with_spectrum(torch.linspace(-3, 9, 12, dtype=DOUBLE), seed=3)
    run = Lanczos(DenseOperator(matrix), torch.ones(12, dtype=DOUBLE)).run(3)
    model = PartModel.of(run)
    model.grow(model.vectors[0], 3)
    assert len(model.vectors) == 3
    model.grow(torch.arange(12, dtype=DOUBLE), 8)
    assert len(model.vectors) == 6


def test_a_subspace_that_takes_in_another_spans_both_without_a_product():
    op = DenseOperator(torch.diag(torch.arange(1.0, 7, dtype=DOUBLE)))
    rows, taken = torch.eye(6, dtype=DOUBLE), Subspace(op)
    sub = Subspace(op)
    sub.extend([rows[0], rows[1]])
    taken.extend([rows[1] + rows[2], rows[5]])
    sub.absorb(taken)
    assert len(sub) == 4
    torch.testing.assert_close(sub.vectors @ sub.vectors.T, torch.eye(4, dtype=DOUBLE))
    torch.testing.assert_close(sub.products, torch.stack([op.matvec(v) for v in sub.vectors]))
    assert (sub.pair(0)[0], sub.pair(-1)[0]) == pytest.approx((1.0, 6.0), rel=1e-12)
