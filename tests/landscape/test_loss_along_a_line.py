"""The true loss along a line, and its curvature against that at the point."""

import pytest
import torch
from oracles import QuadraticNet, first_output, random_vector, symmetric_with_spectrum

from spectra import HessianOperator, InputError
from spectra.landscape.line import loss_line, secants_over_pointwise

STEPS = (0.001, 0.01, 0.1)


def line_of(function):
    return [function(t) for t in STEPS], [function(-t) for t in STEPS]


def test_loss_line_of_a_quadratic_is_its_parabola():
    matrix = symmetric_with_spectrum(torch.tensor([-2.0, -0.5, 0.3, 1.0, 4.0]), seed=1)
    op = HessianOperator(
        QuadraticNet(matrix, random_vector(5, "point"), random_vector(5, "slope")),
        torch.zeros(4, 1),
        torch.zeros(4, dtype=torch.int64),
        loss=first_output,
        dtype=torch.float64,
    )
    vector = torch.linalg.eigh(matrix).eigenvectors[:, 0]
    slope, base = float(op.gradient() @ vector), op.loss()
    (line,) = loss_line([op], vector, [-0.5, 0.0, 1.5])
    expected = [base + t * slope - t * t for t in (-0.5, 0.0, 1.5)]  # λ = -2
    assert line.tolist() == pytest.approx(expected, rel=1e-10)


def test_a_parabola_keeps_its_curvature_whatever_its_slope():
    forward, backward = line_of(lambda t: 1.0 + 3.0 * t - 0.5 * t**2)
    found = secants_over_pointwise(forward, backward, STEPS, loss=1.0, curvature=-1.0)
    # Rounding of 1e-16 in losses of 1, over ½ t² = 5e-7.
    assert [ratio for _, ratio in found] == pytest.approx([1.0] * 3, abs=1e-8)


def test_the_even_part_of_a_kink_is_counted_and_fades_as_one_over_t():
    """|t - a| + a on both sides of a kink at a < t adds 2 (t - a) / |λ| t² to the ratio."""
    a, height = 0.0005, 0.01
    forward, backward = line_of(lambda t: 1.0 - 0.5 * t**2 - height * max(0.0, t - a))
    found = secants_over_pointwise(forward, backward, STEPS, loss=1.0, curvature=-1.0)
    expected = [1 + height * (t - a) / t**2 for t in STEPS]
    assert [ratio for _, ratio in found] == pytest.approx(expected, rel=1e-7)


def test_a_loss_that_bends_up_further_out_has_a_negative_ratio():
    forward, backward = line_of(lambda t: -0.5 * t**2 + 100 * t**4)
    found = dict(secants_over_pointwise(forward, backward, STEPS, loss=0.0, curvature=-1.0))
    assert found[0.1] == pytest.approx(1 - 200 * 0.1**2)


def test_steps_that_drown_in_rounding_are_left_out():
    forward, backward = line_of(lambda t: 1.0 - 0.5 * t**2)
    kept = secants_over_pointwise(
        forward, backward, STEPS, loss=1.0, curvature=-1.0, dtype=torch.float32
    )
    assert [t for t, _ in kept] == [0.1]  # ½ t² = 5e-3, 5e-5 and 5e-7 against a noise of 1e-5


def test_a_curvature_of_zero_has_no_ratio():
    with pytest.raises(InputError, match="which is 0"):
        secants_over_pointwise([1.0], [1.0], [0.1], loss=1.0, curvature=0.0)
