import pytest
import torch
from step_problems import SHARES, filled, slope
from torch import nn

from checkpoints import get_recipe
from checkpoints.models.heads import CosineHead
from checkpoints.training.steps.choose import step_rule
from checkpoints.training.steps.lpf_sgd import LowPassSGD
from spectra import make_generator


def test_low_pass_noise_is_scaled_by_filter_and_by_vector():
    matrix = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    vector = nn.Parameter(torch.tensor([0.0, 2.0]))
    rule = LowPassSGD([matrix, vector], gamma=0.5, draws=1)
    draws = [rule.noise(make_generator(k))[0] for k in range(4000)]
    found_matrix = torch.stack([d[0] for d in draws]).std(0)
    found_vector = torch.stack([d[1] for d in draws]).std(0)
    # The standard error of a standard deviation from 4,000 draws is 1.1 %.
    torch.testing.assert_close(
        found_matrix, torch.tensor([[2.5, 2.5], [0.0, 0.0]]), rtol=0.05, atol=0
    )
    torch.testing.assert_close(found_vector, torch.tensor([1.0, 1.0]), rtol=0.05, atol=0)


def test_low_pass_gradient_is_the_mean_over_draws():
    found, left = filled(lambda p: LowPassSGD(p, gamma=0.5, draws=3))
    generator = make_generator(0, "noise")
    total = 0.0
    for _ in range(3):
        there = 0.8 + 0.5 * 0.8 * float(torch.randn(1, generator=generator))
        total += sum(s * slope(i, there) for i, s in enumerate(SHARES)) / 3
    assert found == pytest.approx(total, rel=1e-6)  # the noise is drawn in float32
    assert left == 0.8


def test_low_pass_noise_of_a_cosine_head_is_scaled_by_class():
    head = CosineHead(2, 3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]]))
    rule = step_rule(
        get_recipe("ce-drw-lpf-sgd").with_overrides({"lpf_gamma": 0.5}), head, (2, 2, 2)
    )
    found = torch.stack([rule.noise(make_generator(k))[0][0] for k in range(4000)]).std(0)
    wanted = torch.tensor([[2.5, 0.0, 0.5]] * 2)
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0)  # standard error 1.1 %


def test_low_pass_noise_of_a_number():
    rule = LowPassSGD([nn.Parameter(torch.tensor(-2.0))], gamma=0.5, draws=1)
    ((noise,),) = rule.noise(make_generator(0))
    assert noise.shape == ()
    assert float(noise) != 0
