import re

import pytest
import torch
from oracles import (
    ProductNet,
    QuadraticNet,
    first_output,
    images_and_labels,
    symmetric_with_spectrum,
)

from spectra import (
    VERDICTS,
    HessianOperator,
    InputError,
    LossAnalysis,
    SolverSettings,
    Verdict,
    analyze_loss,
    decide,
)

NEGATIVE, NOT_NEGATIVE, UNDECIDED, *_ = VERDICTS


def name(lambda_min, lambda_max, grad_norm=0.0, *, low=True, high=True, **options) -> Verdict:
    """Decide with τ = 0.01, which makes the borders below exact in binary or nearly."""
    return decide(
        lambda_min=lambda_min,
        lambda_max=lambda_max,
        grad_norm=grad_norm,
        converged=low and high,
        largest_converged=high,
        **{"radius": 0.5, "tau": 0.01, **options},
    )


@pytest.mark.parametrize(
    ("lambda_min", "lambda_max", "expected"),
    [
        (-4.0, 100.0, NEGATIVE),  # -4 < -1
        (-1.001, 100.0, NEGATIVE),  # just below -τλmax = -1
        (-1.0, 100.0, NOT_NEGATIVE),
        (-0.999, 100.0, NOT_NEGATIVE),
        (3.0, 100.0, NOT_NEGATIVE),
        (0.0, 100.0, NOT_NEGATIVE),
        (0.0, 0.0, NOT_NEGATIVE),  # a linear loss
        (-1.0, -0.5, NEGATIVE),  # curving down everywhere
    ],
)
def test_name_follows_the_stated_rules(lambda_min, lambda_max, expected):
    assert name(lambda_min, lambda_max).name == expected


@pytest.mark.parametrize("grad_norm", [0.0, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("radius", [1e-3, 1e3])
def test_neither_gradient_nor_radius_decides_anything(grad_norm, radius):
    for lambda_min in (-4.0, -0.5, 3.0):
        said = name(lambda_min, 100.0, grad_norm, radius=radius)
        assert (said.name, said.reason) == (name(lambda_min, 100.0).name, said.reason)


def test_nothing_is_decided_while_the_largest_has_not_converged():
    verdict = name(-4.0, 100.0, high=False)
    assert (verdict.name, verdict.reason) == (UNDECIDED, "λmax did not converge")
    assert "--max-steps" in verdict.next_step


def test_negative_curvature_needs_no_convergence_at_the_lower_end():
    assert name(-4.0, 100.0, low=False).name == NEGATIVE


def test_a_positive_value_that_has_not_converged_decides_nothing():
    verdict = name(2.0, 100.0, low=False)
    assert verdict.name == UNDECIDED
    assert "λmin did not converge" in verdict.reason


@pytest.mark.parametrize(
    ("lambda_min", "grad_norm", "expected"),
    [(-4.0, 3.0, 1.5), (-0.5, 1.0, 4.0), (-2.0, 0.0, 0.0), (0.0, 1.0, None), (1.0, 1.0, None)],
)
def test_critical_radius_is_twice_the_gradient_over_the_curvature(lambda_min, grad_norm, expected):
    assert name(lambda_min, 100.0, grad_norm).critical_radius == expected


@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_scaling_the_loss_changes_no_name(factor):
    for numbers in [(-4.0, 100.0, 1.0), (-1.001, 100.0, 1.0), (3.0, 100.0, 0.5), (-0.5, 9.0, 0.5)]:
        scaled = name(*(factor * x for x in numbers))
        assert scaled.name == name(*numbers).name
        assert scaled.critical_radius == name(*numbers).critical_radius


def test_reason_holds_the_numbers_that_decided():
    assert name(-4.0, 100.0, 3.0).reason == "λmin -4 < -τλmax -1"


def test_radius_and_tau_are_kept():
    verdict = name(1.0, 2.0, radius=0.25, tau=0.125)
    assert (verdict.radius, verdict.tau) == (0.25, 0.125)


@pytest.mark.parametrize("options", [{"radius": 0.0}, {"tau": 0.0}, {"radius": float("nan")}])
def test_radius_and_tau_must_be_positive(options):
    with pytest.raises(InputError, match="positive"):
        name(1.0, 2.0, **options)


@pytest.mark.parametrize(
    ("numbers", "options", "expected"),
    [
        # λmin + δ < -τ λmax for the largest λmax there may be; τ = .01.
        ((-1.5, 100.0), {"rounding": 0.4}, NEGATIVE),
        ((-1.5, 100.0), {"rounding": 0.6}, UNDECIDED),
        ((-1.5, 100.0), {"residual_max": 40.0}, NEGATIVE),
        ((-1.5, 100.0), {"residual_max": 60.0}, UNDECIDED),
        ((-1.5, 100.0), {"upper_bound": 140.0}, NEGATIVE),
        ((-1.5, 100.0), {"upper_bound": 160.0}, UNDECIDED),
        ((-1.5, 100.0), {"upper_bound": 140.0, "residual_max": 60.0}, NEGATIVE),
        # A bound above -τ λmax = -1.
        ((2.0, 100.0), {"lower_bound": -0.9}, NOT_NEGATIVE),
        ((2.0, 100.0), {"lower_bound": -1.1}, UNDECIDED),
        ((-0.9, 100.0), {"lower_bound": -0.8}, NOT_NEGATIVE),  # counts as -.9
        # λmax is at least 100 - δ only.
        ((2.0, 100.0), {"lower_bound": -0.9, "rounding": 20.0}, UNDECIDED),
        ((0.0, 0.0), {"lower_bound": 0.0}, NOT_NEGATIVE),
        ((0.0, 0.0), {"lower_bound": -1e-9}, UNDECIDED),
        # What was found stays, whatever the bound says.
        ((-4.0, 100.0), {"lower_bound": -5.0}, NEGATIVE),
        ((-4.0, 100.0), {"bounded": True}, NEGATIVE),
        # bounded: insisted on, or not used.
        ((2.0, 100.0), {"bounded": True}, UNDECIDED),
        ((2.0, 100.0), {"bounded": True, "lower_bound": -0.9}, NOT_NEGATIVE),
        ((2.0, 100.0), {"bounded": False, "lower_bound": -1.1}, NOT_NEGATIVE),
        ((-1.5, 100.0), {"bounded": False, "upper_bound": 160.0}, NEGATIVE),
    ],
)
def test_bounds_and_rounding_move_the_borders_as_stated(numbers, options, expected):
    assert name(*numbers, **options).name == expected


@pytest.mark.parametrize(
    ("lambda_min", "options", "expected"),
    [
        (2.0, {"low": False, "lower_bound": -0.9}, NOT_NEGATIVE),
        (2.0, {"high": False, "lower_bound": -0.9}, NOT_NEGATIVE),  # λmax >= 100
        (-4.0, {"high": False, "upper_bound": 300.0}, NEGATIVE),
        (-4.0, {"high": False, "upper_bound": 500.0}, UNDECIDED),
        (-4.0, {"high": False, "lower_bound": -5.0}, UNDECIDED),
        (2.0, {"low": False, "upper_bound": 101.0}, UNDECIDED),
    ],
)
def test_a_bound_stands_in_for_convergence_at_its_end(lambda_min, options, expected):
    assert name(lambda_min, 100.0, **options).name == expected


def test_a_name_that_rests_on_convergence_alone_says_so():
    said = "nothing below found, not bounded"
    assert said in name(2.0, 100.0).reason
    assert said not in name(2.0, 100.0, lower_bound=-0.5).reason


def test_a_bound_that_is_too_low_says_how_far_and_what_to_do():
    verdict = name(2.0, 100.0, lower_bound=-2.5)
    assert "λmin >= -2.5 only, 2.5 times as deep" in verdict.reason  # as -τλmax = -1
    assert "--certify-below with more --max-steps" in verdict.next_step


@pytest.mark.parametrize(
    ("numbers", "options", "other"),
    [
        ((-4.0, 100.0), {}, NOT_NEGATIVE),
        ((-4.0, 100.0), {"rounding": 0.5, "upper_bound": 150.0}, UNDECIDED),
        ((-0.5, 100.0), {"lower_bound": -0.9}, UNDECIDED),
        ((2.0, 100.0), {"lower_bound": -2.5}, NOT_NEGATIVE),
    ],
)
def test_the_tolerance_that_is_named_as_the_next_step_changes_the_name(numbers, options, other):
    first = name(*numbers, **options)
    way, border = re.search(r"tolerance τ (over|under) (\S+)", first.next_step).groups()
    assert first.name != other
    # The number has two digits: 10 % beyond it the name is another.
    there = float(border) * (1.1 if way == "over" else 0.9)
    assert name(*numbers, **{**options, "tau": there}).name == other


def test_every_name_comes_with_what_would_change_it():
    cases = [(-4.0, {}), (2.0, {}), (2.0, {"low": False}), (2.0, {"high": False}),
             (2.0, {"lower_bound": -0.5}), (2.0, {"lower_bound": 1.0}), (-1.5, {"rounding": 0.6}),
             (2.0, {"lower_bound": -2.5}), (2.0, {"bounded": True})]  # fmt: skip
    assert all(name(low, 100.0, **options).next_step for low, options in cases)


@pytest.mark.parametrize("key", ["rounding", "residual_max"])
@pytest.mark.parametrize("number", [-1.0, float("nan"), float("inf")])
def test_rounding_and_residual_must_be_finite_and_not_negative(key, number):
    with pytest.raises(InputError, match="rounding and residual_max"):
        name(1.0, 2.0, **{key: number})


def analysis_of(model: torch.nn.Module, *, seed: int = 0) -> LossAnalysis:
    images, labels = images_and_labels(4)
    op = HessianOperator(model, images, labels, loss=first_output, dtype=torch.float64)
    settings = SolverSettings(seed=seed)
    return analyze_loss(op, label="1", classes=(1,), settings=settings, radius=0.1)


def quadratic(eigenvalues: list[float], slope: float) -> LossAnalysis:
    """Analyze a quadratic with these eigenvalues at its stationary point, plus a slope there."""
    matrix = symmetric_with_spectrum(torch.tensor(eigenvalues, dtype=torch.float64), seed=0)
    point = torch.linspace(-1, 1, len(eigenvalues), dtype=torch.float64)
    direction = torch.full_like(point, slope / len(eigenvalues) ** 0.5)
    return analysis_of(QuadraticNet(matrix, point, direction - matrix @ point))


INDEFINITE = [-2.0, -0.5, 0.0, 0.3, 1.0, 4.0]
PSD = [0.0, 0.0, 0.3, 0.7, 1.0, 4.0]


@pytest.mark.parametrize(
    ("eigenvalues", "slope", "expected"),
    [
        (INDEFINITE, 0.0, NEGATIVE),
        (INDEFINITE, 0.2, NEGATIVE),
        (PSD, 0.0, NOT_NEGATIVE),
        (PSD, 1e-3, NOT_NEGATIVE),
        ([-1e-3, 0.3, 4.0], 0.0, NOT_NEGATIVE),  # -1e-3 >= -τλmax = -4e-3
        ([-8e-3, 0.3, 4.0], 0.0, NEGATIVE),
        ([-3.0, -2.0, -1.0], 0.0, NEGATIVE),
        ([0.0] * 5, 0.0, NOT_NEGATIVE),
        ([0.0] * 5, 1.0, NOT_NEGATIVE),
        ([2.0] * 5, 0.0, NOT_NEGATIVE),
    ],
)
def test_a_quadratic_of_known_spectrum_and_slope_is_named_rightly(eigenvalues, slope, expected):
    assert quadratic(eigenvalues, slope).verdict.name == expected


def test_numbers_of_a_quadratic_are_those_it_was_built_with():
    found = quadratic(INDEFINITE, 0.2)
    # Rounding: H, point and gradient are of order 1 in float64.
    assert found.lambda_min == pytest.approx(-2.0, abs=1e-12)
    assert found.lambda_max == pytest.approx(4.0, abs=1e-12)
    assert found.grad_norm == pytest.approx(0.2, abs=1e-12)
    assert found.verdict.critical_radius == pytest.approx(0.2, abs=1e-12)


def test_gradient_along_the_lowest_eigenvector_is_a_cosine():
    matrix = torch.diag(torch.tensor([-2.0, 1.0, 3.0], dtype=torch.float64))
    slope = torch.tensor([3.0, 4.0, 0.0], dtype=torch.float64)
    found = analysis_of(QuadraticNet(matrix, torch.zeros(3, dtype=torch.float64), slope))
    # v_min is the first axis, on which the gradient (3, 4, 0) has the cosine 3/5.
    assert found.grad_along_vmin == pytest.approx(0.6, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_both_ends_of_a_product_are_found(seed):
    # λ = ±1, but every sign vector is an eigenvector: one Lanczos step closes on one end alone.
    found = analysis_of(ProductNet(), seed=seed)
    assert (found.verdict.name, found.lambda_min, found.lambda_max) == (
        NEGATIVE,
        pytest.approx(-1.0, abs=1e-12),
        pytest.approx(1.0, abs=1e-12),
    )


@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_a_factor_scales_the_numbers_and_not_the_verdict(factor):
    matrix = symmetric_with_spectrum(torch.tensor(INDEFINITE, dtype=torch.float64), seed=0)
    slope = torch.full((6,), 0.1, dtype=torch.float64)
    images, labels = images_and_labels(4)
    op = HessianOperator(
        QuadraticNet(matrix, torch.zeros(6, dtype=torch.float64), slope),
        images,
        labels,
        loss=first_output,
        dtype=torch.float64,
    )
    one, other = (
        analyze_loss(op, label="1", classes=(1,), settings=SolverSettings(), factor=f)
        for f in (1.0, factor)
    )
    scaled = ("loss", "lambda_min", "lambda_max", "residual_min", "residual_max", "grad_norm")
    for key in scaled:  # powers of two: exact
        assert getattr(other, key) == factor * getattr(one, key)
    assert other.spectrum.trace == factor * one.spectrum.trace
    assert (other.verdict, other.ratio) == (one.verdict, one.ratio)
    assert other.grad_along_vmin == one.grad_along_vmin


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_must_be_positive_and_finite(trained_nets, factor):
    net = trained_nets["softmax"]
    op = HessianOperator(net.model, net.images, net.labels)
    with pytest.raises(InputError, match="factor"):
        analyze_loss(op, label="1", classes=(1,), settings=SolverSettings(), factor=factor)
