from math import exp, log, log1p

import pytest
import torch
from loss_values import COUNTS, close, outputs_and_labels
from torch import Tensor

from checkpoints import get_recipe
from checkpoints.recipes.recipe import LOSSES as LOSSES_OF_RECIPES
from checkpoints.recipes.training_losses import (
    LDAM,
    Focal,
    VectorScaling,
    output_scale,
    training_loss,
)
from spectra import CrossEntropy
from spectra.system.quiet import quiet


def written_out(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.exp().sum(1).log() - logits[torch.arange(len(labels)), labels]


# --- cross-entropy ----------------------------------------------------------------------------


def test_cross_entropy_of_equal_logits_is_log_c():
    close(
        CrossEntropy()(torch.zeros(2, 5, dtype=torch.float64), torch.tensor([0, 4])), [log(5)] * 2
    )


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_cross_entropy_multiplies_the_outputs_by_its_scale(scale):
    outputs, labels = outputs_and_labels()
    close(CrossEntropy(scale)(outputs, labels), written_out(scale * outputs, labels))


@pytest.mark.parametrize(
    "loss",
    [CrossEntropy(), VectorScaling((9, 3, 3), 0.2, 1.2), LDAM((9, 3, 3), scale=2.0), Focal(1)],
)
@pytest.mark.parametrize("logit", [-200.0, -3.0, 9.0, 20.0, 35.0])
def test_derivatives_in_float32_are_exact_however_well_an_image_is_fitted(loss, logit):
    outputs = torch.tensor([[logit, 0.5, -0.25]])
    derivatives = []
    for dtype in (torch.float32, torch.float64):
        z = outputs.to(dtype).requires_grad_()
        (slope,) = torch.autograd.grad(loss(z, torch.tensor([0])).sum(), z, create_graph=True)
        bent = [torch.autograd.grad(g, z, retain_graph=True)[0][0] for g in slope[0]]
        derivatives.append((slope[0].detach().double(), torch.stack(bent).double()))
    for found, wanted in zip(*derivatives, strict=True):
        # Ten roundings of 6e-8, and logits of up to 200 rounded before they are exponents.
        assert float((found - wanted).norm()) <= 1e-4 * float(wanted.norm())


def test_derivatives_of_a_fitted_image_are_the_closed_form():
    # two classes: ∂ℓ/∂z_0 = -1/(1 + e^t), ∂²ℓ/∂z_0² = e^t/(1 + e^t)² with t = z_0 - z_1
    z = torch.tensor([[30.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(CrossEntropy()(z, torch.tensor([0])).sum(), z, create_graph=True)
    (bent,) = torch.autograd.grad(slope[0, 0], z)
    assert slope[0, 0].item() == pytest.approx(-exp(-30), rel=1e-5)
    assert bent[0, 0].item() == pytest.approx(exp(-30), rel=1e-5)


# --- LDAM -------------------------------------------------------------------------------------


def test_ldam_margins_go_with_the_inverse_fourth_root_of_the_count():
    # n^(-1/4) = 1/3, 1/2, 1; the largest is scaled to .6.
    close(LDAM((81, 16, 1), max_margin=0.6).margins(), [0.2, 0.3, 0.6])


def test_ldam_gives_the_smallest_class_the_largest_margin():
    # (50/5000)^(1/4) = 10^(-1/2)
    margins = LDAM(COUNTS).margins()
    close(margins[[0, 2]], [0.5 * 10**-0.5, 0.5])


def test_ldam_loss_of_two_classes_is_the_hand_computed_one():
    # margins (.25, .5); label 0: 30 (.2-.25, .1) = (-1.5, 3); label 1: 30 (.2, .1-.5) = (6, -12)
    loss = LDAM((16, 1), max_margin=0.5, scale=30.0)
    outputs = torch.tensor([[0.2, 0.1]] * 2, dtype=torch.float64)
    close(loss(outputs, torch.tensor([0, 1])), [4.5 + log1p(exp(-4.5)), 18 + log1p(exp(-18))])


def test_ldam_without_margin_is_cross_entropy_of_the_scaled_cosines():
    outputs, labels = outputs_and_labels()
    loss = LDAM(COUNTS, max_margin=0.0, scale=30.0)
    close(loss(outputs, labels), written_out(30.0 * outputs, labels))


def test_ldam_on_equal_counts_has_equal_margins():
    close(LDAM((7, 7, 7), max_margin=0.5).margins(), [0.5] * 3)


# --- VS and logit adjustment ------------------------------------------------------------------


def test_focal_loss_of_equal_logits_is_the_hand_computed_one():
    # p = 1/4: (3/4)² log 4
    close(Focal(2.0)(torch.zeros(1, 4, dtype=torch.float64), torch.tensor([1])), [0.5625 * log(4)])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.5, 2.0])
def test_focal_loss_has_derivatives_where_nothing_of_an_image_is_left(gamma):
    z = torch.tensor([[500.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(Focal(gamma)(z, torch.tensor([0])).sum(), z, create_graph=True)
    (bent,) = torch.autograd.grad(slope[0, 0], z)
    assert torch.equal(slope.detach(), torch.zeros(1, 2))
    assert torch.equal(bent, torch.zeros(1, 2))


def test_focal_loss_without_gamma_is_cross_entropy():
    outputs, labels = outputs_and_labels()
    close(Focal(0.0)(outputs, labels), written_out(outputs, labels))


def test_logit_adjustment_adds_the_log_prior():
    outputs, labels = outputs_and_labels()
    prior = torch.tensor(COUNTS, dtype=torch.float64)
    prior = prior / prior.sum()
    loss = training_loss(get_recipe("la"), COUNTS)
    close(loss(outputs, labels), written_out(outputs + prior.log(), labels))


def test_vs_loss_of_two_classes_is_the_hand_computed_one():
    # Δ = (1, 2), π = (.8, .2): adjusted logits (1 + log .8, 1 + log .2)
    loss = VectorScaling((4, 1), gamma=0.5, tau=1.0)
    outputs = torch.tensor([[1.0, 2.0]] * 2, dtype=torch.float64)
    close(loss(outputs, torch.tensor([0, 1])), [log(1.25), log(5)])


def test_vs_loss_follows_its_formula():
    outputs, labels = outputs_and_labels()
    gamma, tau = 0.2, 1.2
    adjusted = torch.stack(
        [
            outputs[:, c] / (5000 / n) ** gamma + tau * log(n / sum(COUNTS))
            for c, n in enumerate(COUNTS)
        ],
        dim=1,
    )
    close(VectorScaling(COUNTS, gamma, tau)(outputs, labels), written_out(adjusted, labels))


def test_vs_without_gamma_is_logit_adjustment():
    outputs, labels = outputs_and_labels()
    prior = torch.tensor([n / sum(COUNTS) for n in COUNTS], dtype=torch.float64)
    adjusted = outputs + 1.5 * prior.log()
    close(VectorScaling(COUNTS, 0.0, 1.5)(outputs, labels), written_out(adjusted, labels))


def test_vs_on_balanced_counts_is_cross_entropy():
    outputs, labels = outputs_and_labels()
    close(VectorScaling((9, 9, 9), 0.3, 1.0)(outputs, labels), written_out(outputs, labels))


# --- every loss -------------------------------------------------------------------------------

LOSSES = [CrossEntropy(2.0), LDAM(COUNTS), VectorScaling(COUNTS, 0.2, 1.2)]


@pytest.mark.parametrize("loss", LOSSES, ids=["ce", "ldam", "vs"])
def test_the_loss_of_an_image_does_not_depend_on_its_batch(loss):
    outputs, labels = outputs_and_labels()
    alone = torch.cat([loss(outputs[i : i + 1], labels[i : i + 1]) for i in range(len(labels))])
    close(loss(outputs, labels), alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", LOSSES, ids=["ce", "ldam", "vs"])
def test_losses_have_the_type_of_the_outputs(loss, dtype):
    outputs, labels = outputs_and_labels()
    assert loss(outputs.to(dtype), labels).dtype == dtype


# --- what a recipe minimises ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "family", "expected"),
    [
        ("ce", "cifar10", CrossEntropy(1.0)),
        ("ce-drw-sam", "cifar10", CrossEntropy(1.0)),
        ("ldam-drw", "cifar10", LDAM(COUNTS, 0.5, 30.0)),
        ("vs", "cifar10", VectorScaling(COUNTS, 0.2, 1.2, 1.0)),
        ("vs-sam", "cifar100", VectorScaling(COUNTS, 0.3, 1.0, 1.0)),
    ],
)
def test_recipes_minimise_the_loss_of_their_name(name, family, expected):
    assert training_loss(get_recipe(name, family), COUNTS) == expected


@pytest.mark.parametrize(("name", "scale"), [("ce", 1.0), ("vs", 1.0), ("ldam-drw", 30.0)])
def test_only_cosine_heads_have_an_output_scale(name, scale):
    assert output_scale(get_recipe(name)) == scale


@pytest.mark.parametrize(
    "loss", [CrossEntropy(), VectorScaling(COUNTS, 0.2, 1.2), LDAM(COUNTS), Focal(2.0)]
)
def test_every_loss_can_be_linearised(loss):
    outputs, labels = outputs_and_labels()
    along = outputs.flip(0)

    def slope(z: Tensor) -> Tensor:
        return torch.func.grad(lambda z: loss(z, labels).sum())(z)

    with quiet():
        _, moved = torch.func.linearize(slope, outputs)
    h = 1e-5
    wanted = (slope(outputs + h * along) - slope(outputs - h * along)) / (2 * h)
    # central differences: h² times third derivatives of up to 30³
    torch.testing.assert_close(moved(along), wanted, rtol=1e-4, atol=1e-5)


def test_every_loss_of_the_table_of_recipes_can_be_made():
    for loss in LOSSES_OF_RECIPES:
        recipe = get_recipe("ce").with_overrides({"loss": loss})
        assert training_loss(recipe, COUNTS)(torch.zeros(2, 3), torch.tensor([0, 1])).shape == (2,)
