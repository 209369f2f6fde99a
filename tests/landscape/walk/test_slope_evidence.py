"""The least slope around is what a dense search finds, and tails are told from what is none."""

import pytest
import torch
from function_landscape import FunctionLandscape, quadratic

from spectra import make_generator
from spectra.landscape.network_landscape import BalancedLoss
from spectra.landscape.walk.gradient_model import GradientModel
from spectra.landscape.walk.slope_evidence import Round, is_tail, least_slope


def slope_of(around: FunctionLandscape, radius: float = 0.5) -> float:
    loss, u = BalancedLoss(around), torch.zeros(around.size).double()
    model = GradientModel(loss.hessian(u), loss.gradient(u))
    model.grow(around.size)
    generator = make_generator(0, "points")
    return least_slope(loss, u, model, radius=radius, generator=generator)


def test_on_a_quadratic_the_least_slope_is_the_least_gradient_in_the_ball():
    # Along x, ½ x² + x: at a distance of .5 the gradient is .5 of what it is at 0.
    around = quadratic(torch.tensor([1.0, 0.0]).double(), torch.tensor([1.0, 0.0]).double())
    assert slope_of(around) == pytest.approx(0.5, rel=1e-6)


def test_a_constant_slope_stays_whole():
    around = quadratic(torch.tensor([9.0, 0.0]).double(), torch.tensor([0.0, 0.1]).double())
    assert slope_of(around) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("place", [0.1, 0.4, -0.3])
def test_no_steady_slope_is_seen_where_a_stationary_point_is_in_the_ball(place):
    def bowl(x):
        return torch.cosh(3 * (x[0] - place)) + (x[1] - 0.1) ** 2 + x[2] ** 3

    assert slope_of(FunctionLandscape(bowl, torch.zeros(3))) <= 1e-6


@pytest.mark.parametrize("power", [2.0, 4.0, 12.0])
def test_the_foot_of_a_power_is_told_from_a_tail(power):
    # On x^k: L, ‖g‖ ~ x^(k - 1), gᵀH⁻¹g = k/(k - 1) L; Newton multiplies x by (k - 2)/(k - 1).
    places = [1.0, 0.7, 0.45]
    rounds = [
        Round(x**power, power * x ** (power - 1), power / (power - 1) * x**power) for x in places
    ]
    # From x^5 on, a foot is as flat as a tail is: 1 - 1/k > .8.
    assert is_tail(rounds) == (1 - 1 / power > 0.8)


def test_a_loss_that_does_not_fall_is_no_tail():
    assert not is_tail([Round(loss, loss, loss) for loss in (1.0, 0.99, 0.95)])


def test_a_newton_decrement_out_of_proportion_is_no_tail():
    assert not is_tail([Round(1.0, 1.0, 0.3), Round(0.5, 0.5, 0.5), Round(0.2, 0.2, 0.2)])


def test_a_loss_of_zero_or_less_has_no_tail():
    assert not is_tail([Round(loss, 1.0, 1.0) for loss in (0.0, -1.0, -2.0)])
