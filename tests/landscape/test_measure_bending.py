"""What a step removes of a true loss, and how much of it is bending."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from oracles import (
    QuadraticNet,
    build_net,
    dense_hessian,
    first_output,
    images_and_labels,
    random_vector,
    symmetric_with_spectrum,
    train,
)
from torch import Tensor, nn

from spectra import Eigenpair, HessianOperator, InputError, class_hessian, measure_bending
from spectra.landscape.model_steps import TOLERANCE
from spectra.landscape.trust_region import best_step

DOUBLE = torch.float64


def operator(model: nn.Module, **options) -> HessianOperator:
    """Return the Hessian of what a net without inputs outputs."""
    given = {"loss": first_output, "dtype": DOUBLE, **options}
    return HessianOperator(model, torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64), **given)


def ends(matrix: Tensor) -> tuple[Eigenpair, Eigenpair]:
    values, vectors = torch.linalg.eigh(matrix)
    low, high = (Eigenpair(float(values[i]), vectors[:, i], 0.0, True) for i in (0, -1))
    return low, high


class Kinked(nn.Module):
    """Outputs 1 + slope·x - ½ x² + 50 max(0, |x| - ``at``)² + ½ y² at x = y = 0."""

    def __init__(self, *, slope: float, at: float = 1e3) -> None:
        super().__init__()
        self.x, self.slope, self.at = nn.Parameter(torch.zeros(2)), slope, at

    def forward(self, images: Tensor) -> Tensor:
        x, y = self.x
        wall = 50 * torch.relu(x.abs() - self.at) ** 2
        value = 1 + self.slope * x - 0.5 * x**2 + 0.5 * y**2 + wall
        return value.expand(len(images), 1)


LOW = Eigenpair(-1.0, torch.tensor([1.0, 0.0], dtype=DOUBLE), 0.0, True)
HIGH = Eigenpair(1.0, torch.tensor([0.0, 1.0], dtype=DOUBLE), 0.0, True)


@pytest.mark.parametrize("slope", [0.01, 0.3, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_on_a_quadratic_decreases_and_share_are_those_of_the_dense_model(seed, slope):
    spectrum = torch.cat([-torch.logspace(-2, 0, 5), torch.logspace(-2, 1, 15)])
    matrix = symmetric_with_spectrum(spectrum, seed=seed)
    op = operator(QuadraticNet(matrix, random_vector(20, seed), slope * random_vector(20, "s")))
    gradient, loss = op.gradient(), abs(op.loss())
    low, high = ends(matrix)
    found = measure_bending(op, low, gradient, radius=0.3, highest=high, max_products=18)
    values, vectors = torch.linalg.eigh(matrix)
    cut = (vectors * values.clamp(min=0.0)) @ vectors.T
    best, flat = (best_step(m.numpy(), gradient.numpy(), 0.3).decrease for m in (matrix, cut))
    # Both are known to TOLERANCE of the larger one, which is what the share divides by.
    assert found.lowered_with == pytest.approx(best / loss, rel=TOLERANCE)
    assert found.lowered_without == pytest.approx(flat / loss, abs=2 * TOLERANCE * best / loss)
    assert found.share == pytest.approx(1 - flat / best, abs=3 * TOLERANCE)
    assert found.predicted_with == pytest.approx(found.lowered_with, rel=1e-6)
    assert found.believed
    assert not found.kinked


def test_a_gradient_along_the_bending_shares_the_decrease_with_it():
    """r g + ½ r² of which ½ r² is bending, though both steps are the same."""
    found = measure_bending(operator(Kinked(slope=0.05)), LOW, radius=0.1, highest=HIGH)
    assert found.lowered_with == pytest.approx(0.1 * 0.05 + 0.005)
    assert found.share == pytest.approx(0.5)
    assert "half of it comes from bending" in found.sentence


def test_at_a_saddle_all_of_the_decrease_is_bending():
    found = measure_bending(operator(Kinked(slope=0.0)), LOW, radius=0.1, highest=HIGH)
    assert (found.share, found.lowered_without, found.steps) == (1.0, 0.0, 0)
    assert found.lowered_with == pytest.approx(0.005)


def test_at_a_minimum_there_is_nothing_to_lower():
    op = operator(QuadraticNet(torch.eye(2, dtype=DOUBLE), torch.zeros(2), torch.zeros(2)))
    found = measure_bending(op, replace(LOW, value=1.0), radius=0.1)
    assert (found.loss, found.share, found.secants) == (0.0, 0.0, ())
    assert found.lowered_with is None


def test_a_gradient_that_is_rounding_at_a_strict_minimum_leaves_nothing_to_settle():
    """Two products of a matrix of condition 1e4 settle no step, but no step is worth settling."""
    matrix = symmetric_with_spectrum(torch.logspace(-3, 1, 30), seed=0)
    net = QuadraticNet(matrix, torch.zeros(30), 2e-9 * random_vector(30, "slope"))

    def with_height(outputs: Tensor, labels: Tensor) -> Tensor:
        return first_output(outputs, labels) + 0.2

    op = operator(net, loss=with_height)
    low, high = ends(matrix)
    found = measure_bending(op, low, radius=0.1, highest=high, max_products=2)
    # r ‖g‖ is 1e-9, of a loss of .2.
    assert found.converged
    assert found.lowered_with < 1e-8
    assert "--radius looks further" in found.next_step


def test_a_wall_within_the_radius_takes_the_share_that_the_model_promises():
    """The curvature at the point is -1; from .01 on the loss bends up a hundred times as much."""
    free = measure_bending(operator(Kinked(slope=0.0)), LOW, radius=0.1, highest=HIGH)
    walled = measure_bending(operator(Kinked(slope=0.0, at=0.01)), LOW, radius=0.1, highest=HIGH)
    assert not free.kinked
    assert walled.kinked
    assert walled.secant_over_pointwise == pytest.approx(1 - 100 * 0.09**2 / 0.1**2)
    assert walled.predicted_with == pytest.approx(free.predicted_with)
    assert not walled.believed
    # Of what was tried (parts and tenths of r) t = .0125 and .01 are the lowest.
    assert walled.lowered_with <= 0.5 * 0.0125**2
    assert "by 0.1 the loss bends up" in walled.sentence


def bent(curvature: float) -> Eigenpair:
    """Return the pair of a curvature along y."""
    return Eigenpair(curvature, torch.tensor([0.0, 1.0], dtype=DOUBLE), 0.0, True)


class Tail(nn.Module):
    """Outputs a function of two parameters, at 0, of slope -50 and curvature 2500 along x."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.x, self.function = nn.Parameter(torch.zeros(2)), function

    def forward(self, images: Tensor) -> Tensor:
        x, y = self.x
        return self.function(x, y).expand(len(images), 1)


@pytest.mark.parametrize("depth", [10.0, 30.0, 100.0])  # bending's share is 0, .13 and .42
def test_bending_beside_a_tail_has_what_the_best_of_a_circle_has(depth):
    """exp(-50 x) + 1 - c y², whose best point on x² + y² = r² is found by a fine search."""
    angles = torch.linspace(0, math.pi / 2, 10_001, dtype=DOUBLE)
    x, y = 0.1 * angles.cos(), 0.1 * angles.sin()
    removed = 1 - torch.exp(-50 * x) + depth * y**2
    straight, best = float(removed[0]), float(removed.max())
    op = operator(Tail(lambda x, y: torch.exp(-50 * x) + 1 - depth * y**2))
    found = measure_bending(op, bent(-2 * depth), radius=0.1)
    # Of the quarter of a circle five points or so are tried.
    assert best / 2 * 0.97 <= found.lowered_with <= best / 2
    assert found.lowered_without == pytest.approx(straight / 2, rel=1e-6)
    assert found.share == pytest.approx(1 - straight / best, abs=0.03)


def test_a_loss_that_the_gradient_alone_can_remove_owes_nothing_to_bending():
    """exp(-50 (x + y²)): the model bends along y, the tail along x takes all of it."""
    tail = Tail(lambda x, y: torch.exp(-50 * (x + y**2)))
    found = measure_bending(operator(tail), bent(-100.0), radius=0.1)
    assert found.predicted_share == pytest.approx(0.48, abs=0.02)  # of ½ + ½ · 100 · .0096
    assert found.lowered_with == pytest.approx(1 - 2.718281828**-5, rel=1e-6)
    assert found.share == 0
    assert "bending adds nothing. A parabola with the slope and" in found.sentence
    assert "would lose 98 %" in found.sentence


@pytest.mark.parametrize("kind", ["smooth_mlp", "mlp_bn", "conv_resnet"])
def test_no_more_is_lowered_than_cross_entropy_has(kind):
    images, labels = images_and_labels(30)
    net = train(build_net(kind), images, labels, steps=60, lr=0.3)
    for label in range(3):
        op = class_hessian(net, images, labels, label, dtype=DOUBLE)
        part = labels == label
        low, high = ends(dense_hessian(net, images[part], labels[part]))
        found = measure_bending(op, low, radius=0.5, highest=high)
        assert 0 <= found.lowered_without <= found.lowered_with <= 1
        assert found.share == pytest.approx(1 - found.lowered_without / found.lowered_with)


def test_float32_says_the_same_as_float64():
    images, labels = images_and_labels(30)
    net = train(build_net("smooth_mlp"), images, labels, steps=30, lr=0.3)
    low, high = ends(dense_hessian(net, images[labels == 1], labels[labels == 1]))
    single, double = (
        measure_bending(
            class_hessian(net, images, labels, 1, dtype=dtype), low, radius=0.1, highest=high
        )
        for dtype in (torch.float32, DOUBLE)
    )  # losses are in float64 for both: what differs are steps by products in float32
    assert single.lowered_with == pytest.approx(double.lowered_with, rel=1e-4)
    for (t, ratio), (same, other) in zip(single.secants, double.secants, strict=True):
        assert (t, ratio) == (same, pytest.approx(other, rel=1e-6))


def test_products_and_passes_are_counted_those_in_float64_twice():
    images, labels = images_and_labels(30)
    op = class_hessian(build_net("smooth_mlp"), images, labels, 1)
    low, high = ends(dense_hessian(build_net("smooth_mlp"), images[1::3], labels[1::3]))
    before = replace(op.count)
    found = measure_bending(op, low, radius=0.1, highest=high)
    assert op.count.products - before.products == found.steps * op.num_images
    passes = (op.count.forwards - before.forwards) / op.num_images / 2
    assert 3 + 1 + 6 + 1 <= passes <= 3 + 1 + 6 + 9  # gradient, loss, line, steps


def test_products_are_told_one_after_the_other():
    told: list[tuple[str, int, int]] = []
    images, labels = images_and_labels(30)
    net = build_net("smooth_mlp")
    low, high = ends(dense_hessian(net, images[1::3], labels[1::3]))
    found = measure_bending(
        class_hessian(net, images, labels, 1),
        low,
        radius=0.1,
        highest=high,
        max_products=9,
        on_progress=lambda *call: told.append(call),
    )
    assert told == [("bending", k, 9) for k in range(1, found.steps + 1)]


def test_a_decrease_that_is_all_rounding_is_none():
    """Of 1 - ½ x², steps of 1e-9 find 1 or one of its neighbours."""
    op = operator(Kinked(slope=0.0))
    found = measure_bending(op, replace(LOW, value=-1.0), radius=1e-9, highest=HIGH)
    assert (found.lowered_with, found.share) == (0.0, 0.0)
    assert found.sentence.startswith("Within 1e-09 no step that was tried lowers this loss.")


def test_without_proof_the_losses_of_small_steps_are_left_out():
    op = operator(Kinked(slope=0.5), dtype=torch.float32)
    found = measure_bending(op, LOW, radius=0.1, highest=HIGH, proof=False)
    assert [t for t, _ in found.secants] == [0.1]


def test_a_radius_of_zero_is_refused():
    with pytest.raises(InputError, match="radius must be positive"):
        measure_bending(operator(Kinked(slope=0.0)), LOW, radius=0.0)
