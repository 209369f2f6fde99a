import math

import pytest
import torch
from step_problems import SHARES, classified, cross_entropy, filled, slope, softmax_net
from torch import Tensor

from checkpoints import get_recipe
from checkpoints.training.steps.choose import step_rule
from checkpoints.training.steps.imbsam import ImbSAM
from checkpoints.training.steps.interface import Batch
from spectra import InputError, make_generator


def test_imbsam_climbs_for_the_tail_alone():
    found, left = filled(lambda p: ImbSAM(p, rho=0.5, tail=torch.tensor([False, True])))
    head = SHARES[0] * slope(0, 0.8) + SHARES[1] * slope(1, 0.8)
    tail = SHARES[2] * slope(2, 0.8 + 0.5 * math.copysign(1, slope(2, 0.8)))
    assert found == pytest.approx(head + tail, rel=1e-12)
    assert left == 0.8


def test_imbsam_without_tail_images_is_the_plain_gradient():
    found, _ = filled(lambda p: ImbSAM(p, rho=0.5, tail=torch.tensor([False, False])))
    assert found == pytest.approx(sum(s * slope(i, 0.8) for i, s in enumerate(SHARES)), rel=1e-12)


def test_imbsam_with_every_class_in_the_tail_is_sam():
    found, _ = filled(lambda p: ImbSAM(p, rho=0.5, tail=torch.tensor([True, True])))
    g = sum(s * slope(i, 0.8) for i, s in enumerate(SHARES))
    there = 0.8 + math.copysign(0.5, g)
    assert found == pytest.approx(sum(s * slope(i, there) for i, s in enumerate(SHARES)), rel=1e-12)


def test_imbsam_is_its_formula_on_a_batch_where_head_and_tail_alternate():
    model, (x, y, w) = softmax_net(), classified()
    parameters = list(model.parameters())
    tail = torch.tensor([False, True, False])
    ImbSAM(parameters, rho=0.3, tail=tail).fill(
        Batch(model, x, y, w, cross_entropy), make_generator(0)
    )
    rare = tail[y]

    def gradient(images: Tensor) -> tuple[Tensor, ...]:
        terms = w * cross_entropy(model(x), y) / w.sum()
        return torch.autograd.grad(terms[images].sum(), parameters)

    head, climb = gradient(~rare), gradient(rare)
    size = torch.cat([t.flatten() for t in climb]).norm()
    with torch.no_grad():
        for p, t in zip(parameters, climb, strict=True):
            p += 0.3 * t / size
    for p, a, b in zip(parameters, head, gradient(rare), strict=True):
        # The rule adds 1e-12 to the norm.
        torch.testing.assert_close(p.grad, a + b, rtol=1e-10, atol=1e-11)


def test_the_rarest_third_is_imbsams_tail():
    recipe = get_recipe("ce-drw-imbsam")
    rule = step_rule(recipe, softmax_net(), (500, 300, 200, 100, 90, 80, 60, 40, 20, 10))
    assert rule.tail.tolist() == [False] * 7 + [True] * 3


# Classes of equal size are all tail or all head.
@pytest.mark.parametrize(
    ("counts", "tail"),
    [((500, 500, 500, 50, 50, 50), [False] * 3 + [True] * 3), ((9, 1), [False, True])],
)
def test_imbsams_tail_takes_all_classes_of_a_size(counts, tail):
    recipe = get_recipe("ce-drw-imbsam")
    assert step_rule(recipe, softmax_net(), counts).tail.tolist() == tail


@pytest.mark.parametrize(
    ("counts", "below", "which"),
    [((500,) * 10, 0, "every class"), ((9, 5, 2), 1, "no class"), ((9, 5, 2), 10, "every class")],
)
def test_imbsam_refuses_classes_that_are_all_head_or_all_tail(counts, below, which):
    recipe = get_recipe("ce-drw-imbsam").with_overrides({"tail_below": below})
    with pytest.raises(InputError, match=rf"{which} .* tail_below"):
        step_rule(recipe, softmax_net(), counts)
