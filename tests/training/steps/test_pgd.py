import pytest
import torch
from step_problems import Line, filled, line_batch, plain_slope
from torch import nn

from checkpoints.training.steps.pgd import PerturbedGradient
from spectra import make_generator


def test_pgd_moves_where_the_gradient_is_small_and_descends_from_there():
    found, left = filled(lambda p: PerturbedGradient(p, radius=0.1, threshold=10.0, interval=5))
    assert 0 < abs(left - 0.8) <= 0.1
    assert found == pytest.approx(plain_slope(left), rel=1e-12)


def test_pgd_is_plain_descent_where_the_gradient_is_large():
    found, left = filled(lambda p: PerturbedGradient(p, radius=0.1, threshold=1e-6, interval=5))
    assert (found, left) == (pytest.approx(plain_slope(0.8), rel=1e-12), 0.8)


def test_pgd_waits_between_two_moves_and_not_over_an_epoch():
    model = Line()
    rule = PerturbedGradient(list(model.parameters()), radius=0.1, threshold=10.0, interval=2)
    generator, moved = make_generator(0), []

    def fill() -> None:
        before = float(model.w.detach())
        batch = line_batch(model)
        rule.fill(batch, generator)
        moved.append(float(model.w.detach()) != before)

    for _ in range(5):
        fill()
    rule.start_epoch(0.0, generator)
    fill()
    assert moved == [True, False, False, True, False, True]


def test_pgd_moves_by_the_vectors_of_its_generator_in_turn_and_anew_in_each_epoch():
    model = Line()
    rule = PerturbedGradient(list(model.parameters()), radius=0.1, threshold=10.0, interval=1)
    moves: dict[str, list[float]] = {}
    for epoch in ("first", "second"):
        generator, moves[epoch] = make_generator(0, epoch), []
        rule.start_epoch(0.0, generator)
        for _ in range(3):  # the first and the third move
            before = float(model.w.detach())
            batch = line_batch(model)
            rule.fill(batch, generator)
            moves[epoch].append(float(model.w.detach()) - before)
    for epoch, found in moves.items():
        generator = make_generator(0, epoch)
        drawn = [float(rule.ball(generator)[0]) for _ in range(2)]
        # a weight of order 1 plus a step, in float64
        assert found == pytest.approx([drawn[0], 0.0, drawn[1]], abs=1e-14)


def test_pgd_steps_are_uniform_in_the_ball():
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    rule = PerturbedGradient(parameters, radius=2.0, threshold=1.0, interval=0)
    generator = make_generator(0)
    radii = torch.tensor([float(torch.cat(rule.ball(generator)).norm()) for _ in range(2000)])
    assert float(radii.max()) <= 2.0 + 1e-6
    # Half of a ball's volume lies within 2^(-1/3) of its radius; 2,000 draws: ± 2.2 % (2 sd).
    assert float((radii <= 2.0 * 0.5 ** (1 / 3)).float().mean()) == pytest.approx(0.5, abs=0.04)
