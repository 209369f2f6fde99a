"""The search names what is near: points that are known, slopes that have none, and nothing else."""

import pytest
import torch
from function_landscape import FunctionLandscape, quadratic
from oracles import dense_hessian, images_and_labels, train
from torch import nn

from spectra import (
    HessianOperator,
    InputError,
    NetworkLandscape,
    class_hessian,
    find_stationary_point,
    make_generator,
)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_saddle_next_to_a_stiff_gradient_is_found():
    found = find_stationary_point(quadratic(numbers(100, -1, 0.5), numbers(1, 0, 0)))
    # ½ 100 x² + x: stationary at -.01; a step leaves a hundredth, and the rest counts with it.
    assert (found.name, found.distance) == ("saddle", pytest.approx(0.01, rel=1e-3))
    assert found.lambda_min == pytest.approx(-1, rel=1e-6)


@pytest.mark.parametrize(
    ("curvatures", "slopes"),
    [
        ((100, -1, 0), (0, 0, 0.04)),
        ((100, -1, 0), (1, 0, 0.04)),
        ((100, 1, 0), (1, 0.1, 0.01)),
        ((100, 1e-6, 1), (0, 0.009, 0)),
        ((100, 1e-6, 1), (1, 0.009, 0)),
        ((100, -1e-6, 1), (1, 0.009, 0.1)),
        ((100, 1e-3, 1), (1, 0.1, 0)),
    ],
)
def test_a_constant_slope_is_no_stationary_point(curvatures, slopes):
    # The nearest is at least 100 away, or nowhere.
    assert find_stationary_point(quadratic(numbers(*curvatures), numbers(*slopes))).name == "slope"


@pytest.mark.parametrize("slope", [1e-4, 1e-6, 1e-8])
def test_a_slope_beside_a_stiff_gradient_is_never_a_point_however_small(slope):
    found = find_stationary_point(quadratic(numbers(100, 1, 0), numbers(1, 0.1, slope)))
    assert not found.found


def test_a_minimum_says_how_far_it_is():
    found = find_stationary_point(quadratic(numbers(10, 1, 0.5), numbers(1, 0.02, -0.05)))
    # At (-.1, -.02, .1).
    assert (found.name, found.distance) == ("minimum", pytest.approx(0.0204**0.5, rel=1e-3))
    assert found.lower_bound == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("lowest", [1, -1])
@pytest.mark.parametrize(
    ("bend", "slope"), [(1e-6, 2e-7), (1e-6, 2e-8), (-1e-6, 4e-7), (1e-5, 5e-7), (1e-3, 1e-5)]
)
def test_a_point_is_not_said_to_be_nearer_than_it_is(bend, slope, lowest):
    # The stiff part of the gradient goes within .01; what is left of it asks for slope / bend.
    found = find_stationary_point(quadratic(numbers(100, bend, lowest), numbers(1, slope, 0)))
    away = (1e-4 + (slope / bend) ** 2) ** 0.5
    assert not found.found or found.distance >= 0.999 * away


@pytest.mark.parametrize("slope", [1e-7, 1e-8, 1e-9])
def test_a_slope_is_not_taken_for_what_steps_leave_of_a_large_gradient(slope):
    # Each step leaves a hundredth of the stiff parts, whatever the slope beside them is.
    found = find_stationary_point(
        quadratic(numbers(100, 0.02, -1, 0), numbers(1, 2e-7, 0.1, slope))
    )
    assert found.name == "slope"


def test_a_point_where_the_gradient_is_zero_is_named_as_it_stands():
    found = find_stationary_point(quadratic(numbers(10, 1, -0.5), numbers(0, 0, 0)))
    assert (found.name, found.distance, found.rounds) == ("saddle", 0.0, 0)


@pytest.mark.parametrize("lowest", [0.0, -1e-5, 1e-13])
def test_what_is_flat_in_some_direction_is_undecided(lowest):
    found = find_stationary_point(quadratic(numbers(1, 0.5, lowest), numbers(0.1, 0, 0)))
    assert found.name == "undecided"


def test_a_parabola_of_loss_zero_is_a_minimum_not_a_tail():
    # gᵀH⁻¹g / L is 2 on it everywhere.
    found = find_stationary_point(
        FunctionLandscape(lambda x: (x**2).sum(), numbers(0.3, 0.1)), search_radius=0.4
    )
    assert found.name == "minimum"


def test_the_foot_of_a_quartic_is_no_tail():
    found = find_stationary_point(
        FunctionLandscape(lambda x: (x**4).sum(), numbers(0.8, 0.4)), search_radius=0.9
    )
    assert found.name == "undecided"


@pytest.mark.parametrize("height", [1.0, 1e-3, 1e-8])
def test_an_exponential_is_a_tail_whatever_its_height(height):
    found = find_stationary_point(
        FunctionLandscape(lambda x: height * (torch.exp(-6 * x[0]) + 0 * x[1]), numbers(0, 0))
    )
    assert found.name == "slope, tail"


def tied_units() -> tuple[FunctionLandscape, torch.Tensor]:
    """Return the loss of a net of two tanh units, and its minimum among nets whose units are equal.

    Exchanging them changes nothing, so the gradient there is 0 (Fukumizu & Amari 2000).
    """
    x = torch.linspace(-2, 2, 30, dtype=torch.float64)
    y = torch.sin(2 * x)

    def loss(w):
        fitted = torch.tanh(x[:, None] * w[:2] + w[2:4]) @ w[4:6]
        return ((fitted - y) ** 2).mean() + 0.005 * w @ w

    one = numbers(1.0, 0.2, 0.5)
    both = [0, 0, 1, 1, 2, 2]
    tied = FunctionLandscape(lambda v: loss(v[both]), one)
    for _ in range(50):
        zero = torch.zeros(3).double()
        step = torch.linalg.solve(
            tied.hessian(zero).matrix.abs().diag().diag(), tied.gradient(zero)
        )
        tied.w = tied.w - 0.5 * step
    for _ in range(10):
        step = torch.linalg.solve(tied.hessian(zero).matrix, tied.gradient(zero))
        tied.w = tied.w - step
    return FunctionLandscape(loss, tied.w[both]), tied.w[both]


@pytest.mark.parametrize("seed", range(5))
def test_doubled_units_are_a_saddle_from_wherever_they_are_left(seed):
    around, point = tied_units()
    zero = torch.zeros(6).double()
    assert float(around.gradient(zero).norm()) < 1e-12
    lowest = float(torch.linalg.eigvalsh(around.hessian(zero).matrix)[0])
    assert lowest < -1e-3
    away = torch.randn(6, generator=make_generator(seed, "away"), dtype=torch.float64)
    around.w = point + 0.08 * away / away.norm()
    found = find_stationary_point(around)
    assert found.name == "saddle"
    # Steps shrink faster than is assumed of them: .43 of a last one of a tenth of the way at most.
    assert 0.08 <= found.distance * (1 + 1e-9) <= 0.08 * 1.05
    assert found.lambda_min == pytest.approx(lowest, rel=1e-3)


def test_a_class_that_a_bias_can_favour_has_no_stationary_point():
    images, labels = images_and_labels(30)
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.Tanh(), nn.Linear(6, 3))
    for parameter in net.parameters():
        parameter.data = (
            torch.randn(parameter.shape, generator=make_generator(0, tuple(parameter.shape)))
            / parameter[0].numel()
        )
    for steps in (0, 100, 300):
        train(net, images, labels, steps=steps, lr=0.5)
        op = class_hessian(net, images, labels, 1, dtype=torch.float64)
        assert find_stationary_point(NetworkLandscape(op)).name in ("slope", "slope, tail")


def decayed(outputs, labels):
    """Return the squared error of the last outputs from the label, and 5 % of ‖w‖², as outputs."""
    return (outputs[:, 0] - labels) ** 2 + outputs[:, 1]


class Decayed(nn.Module):
    """A net of two units whose outputs hold its weight decay."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = nn.Linear(1, 2), nn.Linear(2, 1)

    def forward(self, x):
        size = sum((p**2).sum() for p in self.parameters())
        fitted = self.last(torch.tanh(self.hidden(x)))[:, 0]
        return torch.stack([fitted, (0.02 * size).expand(len(x))], dim=1)


def net_near_a_minimum() -> tuple[Decayed, torch.Tensor, torch.Tensor]:
    net = Decayed()
    given = [[[1.0], [-0.5]], [0.3, 0.1], [[0.8, 0.4]], [0.2]]
    for parameter, values in zip(net.parameters(), given, strict=True):
        parameter.data = torch.tensor(values)
    x = torch.linspace(-2, 2, 24)[:, None]
    labels = (x[:, 0] > 0.3).long()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=300, tolerance_grad=1e-5)

    def closure():
        optimizer.zero_grad()
        loss = decayed(net(x), labels).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    for parameter in net.parameters():
        draw = torch.randn(parameter.shape, generator=make_generator(1, tuple(parameter.shape)))
        parameter.data += 0.02 * draw
    return net, x, labels


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_network_near_a_minimum_says_so_in_either_precision(dtype):
    net, x, labels = net_near_a_minimum()
    op = HessianOperator(net, x, labels, loss=decayed, dtype=dtype)
    around = NetworkLandscape(op)
    found = find_stationary_point(around)
    assert found.name == "minimum", found.reason
    assert found.grad_norm_at < 1e-6 * found.grad_norm_before
    assert found.image_products > found.products * op.num_images
    assert 0 < found.relative_distance < 0.2
    again = find_stationary_point(NetworkLandscape(op))
    assert (again.name, again.distance, again.lambda_min) == (
        found.name,
        found.distance,
        found.lambda_min,
    )


def test_the_curvature_of_a_minimum_is_that_of_the_dense_hessian_there():
    net, x, labels = net_near_a_minimum()
    around = NetworkLandscape(HessianOperator(net, x, labels, loss=decayed, dtype=torch.float64))
    found = find_stationary_point(around)
    dense = dense_hessian(net, x, labels, loss=decayed)
    scale = around.balance.scale
    values = torch.linalg.eigvalsh(scale[:, None] * dense * scale)
    # At w, a few hundredths away: the third derivative moves eigenvalues by some percent.
    assert found.lambda_max == pytest.approx(float(values[-1]), rel=0.2)
    assert found.lower_bound <= found.lambda_min


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_rescaled_relu_layers_keep_the_verdict_and_the_relative_distance(factor):
    images, labels = images_and_labels(40)
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.ReLU(), nn.Linear(6, 3))
    for parameter in net.parameters():
        draw = torch.randn(parameter.shape, generator=make_generator(3, tuple(parameter.shape)))
        parameter.data = draw / parameter[0].numel() ** 0.5

    def named():
        op = class_hessian(net, images, labels, 2, dtype=torch.float64)
        return find_stationary_point(NetworkLandscape(op))

    before = named()
    net[1].weight.data *= factor
    net[1].bias.data *= factor
    net[3].weight.data /= factor
    after = named()
    assert (after.name, after.rounds) == (before.name, before.rounds)
    assert after.loss_at == pytest.approx(before.loss_at, rel=1e-6)


def test_the_search_stops_at_its_budget_and_says_what_it_cost():
    calls = []
    curvatures = torch.logspace(-5, 0, 60, dtype=torch.float64)
    around = quadratic(curvatures, 0.02 * curvatures.sqrt())
    found = find_stationary_point(
        around, max_products=20, on_progress=lambda *call: calls.append(call)
    )
    assert found.name == "undecided"
    assert 20 <= found.products <= 60
    assert calls[-1] == ("", found.products, 20)


@pytest.mark.parametrize(
    "wrong", [{"search_radius": 0.0}, {"search_radius": float("inf")}, {"max_rounds": 0}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        find_stationary_point(quadratic(numbers(1.0), numbers(1.0)), **wrong)
