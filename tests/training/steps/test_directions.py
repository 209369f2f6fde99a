import torch
from step_problems import DOUBLE

from checkpoints.training.steps.directions import ascent, norm, standard_normal
from spectra import make_generator


def test_the_norm_is_that_of_all_tensors_together():
    tensors = [torch.tensor([[3.0, 0.0]]), torch.tensor(4.0)]
    torch.testing.assert_close(norm(tensors), torch.tensor(5.0))


def test_an_ascent_scaled_by_ones_is_the_plain_one():
    gradient = [torch.tensor([3.0, -1.0], dtype=DOUBLE), torch.tensor(4.0, dtype=DOUBLE)]
    ones = [torch.ones_like(g) for g in gradient]
    for found, wanted in zip(ascent(gradient, 0.5, ones), ascent(gradient, 0.5), strict=True):
        assert torch.equal(found, wanted)


def test_normal_draws_are_those_of_each_tensor_in_turn():
    # 16 numbers are where torch begins to draw in another way.
    shapes = [(3, 2), (), (40,), (2, 4, 4)]
    parameters = [torch.zeros(shape, dtype=DOUBLE) for shape in shapes]
    drawn = standard_normal(parameters, make_generator(0), times=2)
    generator = make_generator(0)
    for each in drawn:
        for found, shape in zip(each, shapes, strict=True):
            assert torch.equal(found, torch.randn(shape, generator=generator).double())
