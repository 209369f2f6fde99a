"""Densities, extremes, bounds, certificates and verdicts move as the matrix does."""

import numpy as np
import pytest
import torch
from oracles import random_vector
from relations import FACTOR, IN_PLACE, RELATIONS, case_of, operator_of

from spectra import (
    SolverSettings,
    analyze_loss,
    counted_eigenpairs,
    extreme_eigenpairs,
    lanczos_tridiag,
    outer_bounds,
    slq,
    trace_interval,
)
from spectra.findings.verdict import NEGATIVE, NOT_NEGATIVE

# Of a Lanczos run of 12 steps, relative to the largest |θ|: float64 with full reorthogonalisation,
# and products that differ by some 1e-15. Rounding grows with the steps, by a digit or two here.
LANCZOS = 1e-10
STEPS = 12
# Of eigenvalues that have converged in float64, relative to the largest.
CONVERGED = 1e-10
SETTINGS = SolverSettings(num_probes=1, num_steps=STEPS, tol=1e-9, floor=1e-10, bending=False)


def moved(relation, values):
    return relation.factor * np.asarray(values) + relation.shift


def runs_of(relation):
    """Run Lanczos from a start before the change, and from the carried one after it."""
    case, start = case_of("dense"), random_vector(operator_of("dense").size, "start")
    carried = relation.carried(case, start)
    return (
        lanczos_tridiag(operator_of("dense"), start, num_steps=STEPS),
        lanczos_tridiag(relation.change(case).operator(), carried, num_steps=STEPS),
    )


@pytest.mark.parametrize("name", RELATIONS)
def test_a_lanczos_run_from_the_carried_start_moves_as_the_matrix(name):
    relation = RELATIONS[name]
    before, after = runs_of(relation)
    allowed = LANCZOS * float(np.abs(after.ritz_values()).max())
    np.testing.assert_allclose(after.alphas, moved(relation, before.alphas), rtol=0, atol=allowed)
    np.testing.assert_allclose(after.betas, relation.factor * before.betas, rtol=0, atol=allowed)
    np.testing.assert_allclose(
        after.quadrature_weights(), before.quadrature_weights(), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflated"])
@pytest.mark.parametrize("name", IN_PLACE)
def test_nodes_move_weights_stay_and_the_density_is_stretched(name, deflate):
    relation, case = RELATIONS[name], case_of("dense")
    options = {"num_probes": 2, "num_steps": STEPS, "deflate": deflate}
    before = slq(operator_of("dense"), **options)
    after = slq(relation.change(case).operator(), **options)
    allowed = LANCZOS * float(np.abs(after.nodes).max())
    np.testing.assert_allclose(after.nodes, moved(relation, before.nodes), rtol=0, atol=allowed)
    np.testing.assert_allclose(after.weights, before.weights, rtol=0, atol=1e-8)
    grid, sigma = np.linspace(before.nodes[0], before.nodes[-1], 50), 0.1
    np.testing.assert_allclose(
        after.density(moved(relation, grid), relation.factor * sigma),
        before.density(grid, sigma) / relation.factor,
        rtol=1e-6,
    )
    first, second = trace_interval(before), trace_interval(after)
    for end in ("lower", "estimate", "upper"):
        expected = relation.factor * getattr(first, end) + relation.shift * before.size
        assert getattr(second, end) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", RELATIONS)
def test_extreme_eigenpairs_move_as_the_matrix_and_their_vectors_are_carried(name):
    relation, case = RELATIONS[name], case_of("dense")
    before = extreme_eigenpairs(operator_of("dense"), 2, tol=1e-9)
    after = extreme_eigenpairs(relation.change(case).operator(), 2, tol=1e-9)
    assert before.converged
    assert after.converged
    largest = max(abs(pair.value) for pair in after.pairs)
    for old, new in zip(before.pairs, after.pairs, strict=True):
        assert new.value == pytest.approx(moved(relation, old.value), abs=CONVERGED * largest)
        overlap = abs(float(new.vector @ relation.carried(case, old.vector)))
        assert overlap == pytest.approx(1, abs=1e-8)


def test_multiplicities_stay_where_every_hidden_unit_is_renamed():
    relation, case = RELATIONS["hidden units permuted"], case_of("dense")
    before = counted_eigenpairs(operator_of("dense"), 3)
    after = counted_eigenpairs(relation.change(case).operator(), 3)
    np.testing.assert_allclose(
        [pair.value for pair in after.pairs],
        [pair.value for pair in before.pairs],
        atol=1e-5 * before.largest.value,
    )


@pytest.mark.parametrize("name", RELATIONS)
def test_bounds_from_outside_move_as_the_matrix(name):
    relation, size = RELATIONS[name], operator_of("dense").size
    before, after = runs_of(relation)
    bounds = outer_bounds(before, size, 0.01), outer_bounds(after, size, 0.01)
    # The allowance for rounding is relative to the largest |θ|, which a shift changes.
    allowed = 1e-8 * float(np.abs(after.ritz_values()).max())
    for side in ("below", "above"):
        expected = moved(relation, getattr(bounds[0], side))
        assert getattr(bounds[1], side) == pytest.approx(expected, abs=allowed)


@pytest.fixture(scope="module")
def analyses():
    """Return the analysis of a changed case, made once."""
    made = {}

    def analysis(name: str | None):
        if name not in made:
            case = case_of("dense")
            changed = case if name is None else RELATIONS[name].change(case)
            made[name] = analyze_loss(
                changed.operator(), label="case", classes=(0,), settings=SETTINGS
            )
        return made[name]

    return analysis


@pytest.mark.parametrize("name", IN_PLACE)
def test_certificates_move_as_the_matrix(analyses, name):
    relation = RELATIONS[name]
    both = zip(analyses(None).certificates, analyses(name).certificates, strict=True)
    scale = max(abs(analyses(name).lambda_min), analyses(name).lambda_max)
    for old, new in both:
        assert new.value == pytest.approx(moved(relation, old.value), abs=CONVERGED * scale)
        assert new.beyond == pytest.approx(moved(relation, old.beyond), abs=1e-8 * scale)
        assert (new.proven, new.confidence, new.why) == (old.proven, old.confidence, old.why)
        if not relation.shift:  # else it is that of other products
            assert new.rounding == pytest.approx(relation.factor * old.rounding, rel=0.2)


@pytest.mark.parametrize("name", [name for name in RELATIONS if not RELATIONS[name].shift])
def test_the_verdict_stays_where_the_curvature_keeps_its_sign(analyses, name):
    before, after = analyses(None), analyses(name)
    assert before.verdict.name == NEGATIVE
    assert after.verdict.name == NEGATIVE
    assert after.verdict.critical_radius == pytest.approx(before.verdict.critical_radius, rel=1e-8)
    assert after.grad_norm == pytest.approx(RELATIONS[name].factor * before.grad_norm, rel=1e-10)
    assert after.grad_along_vmin == pytest.approx(before.grad_along_vmin, rel=1e-5)


def test_the_verdict_goes_where_enough_is_added_to_every_eigenvalue(analyses):
    deep = -analyses(None).lambda_min
    assert deep > 0
    for added, name in ((0.5 * deep, NEGATIVE), (1.5 * deep, NOT_NEGATIVE)):
        changed = case_of("dense").decaying(added)
        found = analyze_loss(changed.operator(), label="case", classes=(0,), settings=SETTINGS)
        assert found.verdict.name == name


def test_a_factor_of_an_analysis_is_that_of_its_loss(analyses):
    scaled = analyses("loss scaled")
    given = analyze_loss(
        operator_of("dense"), label="case", classes=(0,), settings=SETTINGS, factor=FACTOR
    )
    for name in ("loss", "lambda_min", "lambda_max", "grad_norm"):
        assert getattr(given, name) == pytest.approx(getattr(scaled, name), rel=1e-9)
    np.testing.assert_allclose(given.spectrum.nodes, scaled.spectrum.nodes, rtol=1e-7, atol=1e-9)
    assert given.verdict.name == scaled.verdict.name


def test_the_inertia_stays_where_weight_passes_through_a_relu_layer():
    """Sylvester: D⁻¹ H D⁻¹ has as many eigenvalues of either sign as H."""
    case = case_of("dense")
    through = {"3.weight": 3.0, "3.bias": 3.0, "5.weight": 1 / 3}
    changed = case.with_parameters(
        lambda named: {n: t * through.get(n, 1.0) for n, t in named.items()}
    )
    counts = []
    for op in (operator_of("dense"), changed.operator()):
        values = torch.linalg.eigvalsh(op.dense())
        border = 1e-10 * float(values.abs().max())
        counts.append((int((values < -border).sum()), int((values > border).sum())))
    assert counts[0] == counts[1]
    assert counts[0][0] > 0


def test_each_end_of_a_whole_lies_within_the_weighted_ends_of_its_halves():
    """Weyl: λmin(A + B) >= λmin(A) + λmin(B), and λmax the other way round."""
    case = case_of("convolutional")
    parts = torch.arange(5), torch.arange(5, 13)
    whole = extreme_eigenpairs(operator_of("convolutional"))
    halves = [extreme_eigenpairs(case.of(part).operator()) for part in parts]
    shares = [len(part) / 13 for part in parts]
    low = sum(s * h.smallest.value for s, h in zip(shares, halves, strict=True))
    high = sum(s * h.largest.value for s, h in zip(shares, halves, strict=True))
    slack = 1e-6 * whole.largest.value
    assert low - slack <= whole.smallest.value <= whole.largest.value <= high + slack
