import pickle
from math import exp, log, log1p

import pytest
import torch
from torch import Tensor

from checkpoints import get_recipe
from checkpoints.recipes.constants import constant
from checkpoints.recipes.schedules import class_weights
from checkpoints.recipes.training_losses import (
    LDAM,
    Focal,
    VectorScaling,
    output_scale,
    training_loss,
)
from spectra import CrossEntropy, HessianOperator, make_generator
from spectra.system.quiet import quiet

COUNTS = (5000, 387, 50)


def outputs_and_labels(n: int = 12) -> tuple[Tensor, Tensor]:
    generator = make_generator(0, "losses")
    return torch.randn(n, 3, generator=generator, dtype=torch.float64), torch.arange(n) % 3


def close(actual: Tensor, expected: Tensor | list[float]) -> None:
    # float64 values of order 1 after at most a dozen roundings: 1e-12 is 100 times the error.
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


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


# --- class weights ----------------------------------------------------------------------------


def test_class_balanced_weights_are_the_hand_computed_ones():
    # (1-β)/(1-β^n) with β = .5: n = 2 gives 2/3, n = 1 gives 1; times 2 / (5/3).
    recipe = get_recipe("ce").with_overrides({"weighting": "reweight", "cb_beta": 0.5})
    close(class_weights(recipe, (2, 1), 0), [0.8, 1.2])


def test_class_balanced_weights_sum_to_the_number_of_classes():
    recipe = get_recipe("ce").with_overrides({"weighting": "reweight"})
    close(class_weights(recipe, COUNTS, 0).sum(), torch.tensor(3.0))


def test_deferred_weights_are_the_class_balanced_ones_from_the_switch_on():
    raw = torch.tensor([1e-4 / (1 - 0.9999**n) for n in COUNTS], dtype=torch.float64)
    expected = 3 * raw / raw.sum()
    # 1 - .9999 loses 12 digits less than it keeps: β = .9999 is off by 1e-16, 1 - β by 1e-12.
    torch.testing.assert_close(
        class_weights(get_recipe("ce-drw"), COUNTS, 160), expected, rtol=1e-11, atol=0
    )


@pytest.mark.parametrize("epoch", [0, 159])
def test_deferred_weights_are_ones_before_the_switch(epoch):
    assert class_weights(get_recipe("ce-drw"), COUNTS, epoch).tolist() == [1.0] * 3


@pytest.mark.parametrize("weighting", ["none", "resample"])
def test_other_weightings_never_weigh(weighting):
    recipe = get_recipe("ce").with_overrides({"weighting": weighting})
    assert class_weights(recipe, COUNTS, 199).tolist() == [1.0] * 3


def test_a_class_without_images_weighs_nothing():
    recipe = get_recipe("ce").with_overrides({"weighting": "reweight", "cb_beta": 0.5})
    close(class_weights(recipe, (1, 0), 0), [2.0, 0.0])


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


# --- constants --------------------------------------------------------------------------------


def doubled(value: float) -> Tensor:
    return torch.tensor([2 * value])


def test_a_constant_is_made_once_for_each_argument():
    assert constant(doubled)(1.5) is constant(doubled)(1.5)
    assert float(constant(doubled)(2.5)) == 5.0


def test_a_constant_made_where_autograd_is_off_serves_where_it_is_on():
    with torch.inference_mode():
        made = constant(doubled)(3.5)
    w = torch.ones(1, requires_grad=True)
    (w * made).sum().backward()
    assert float(w.grad) == 7.0


def test_a_constant_made_within_a_transform_does_not_outlive_it():
    made = []

    def scaled(x: Tensor) -> Tensor:
        made.append(constant(doubled)(4.5))
        return (x * made[-1]).sum()

    slope = torch.func.grad(scaled)(torch.ones(1))
    assert float(slope) == 9.0
    assert constant(doubled)(4.5) is not made[0]


@pytest.mark.parametrize(
    "loss", [LDAM(COUNTS), VectorScaling(COUNTS, 0.2, 1.2)], ids=["ldam", "vs"]
)
def test_a_loss_that_was_used_is_pickled_compared_and_hashed_as_before(loss):
    fresh = pickle.loads(pickle.dumps(loss))
    loss(*outputs_and_labels())
    again = pickle.loads(pickle.dumps(loss))
    assert (again, hash(again)) == (fresh, hash(fresh))


def test_a_loss_that_is_a_module_serves_both_precisions():
    generator = make_generator(0, "loss module")
    images, labels = torch.randn(12, 5, generator=generator), torch.arange(12) % 3
    weights = torch.tensor([0.5, 1.0, 3.0])
    theirs = torch.nn.CrossEntropyLoss(weight=weights.clone(), reduction="none")
    with torch.random.fork_rng(devices=[]):
        model = torch.nn.Linear(5, 3)
    op = HessianOperator(model, images, labels, loss=theirs)
    by_image = HessianOperator(model, images, labels, weights=weights[labels])
    v = torch.randn(op.size, generator=generator)
    expected = by_image.in_float64().matvec(v.double()) * by_image.total_weight / len(labels)
    close(op.in_float64().matvec(v.double()), expected)
    torch.testing.assert_close(op.matvec(v).double(), expected, rtol=1e-5, atol=1e-6)
    theirs.weight.fill_(0.0)  # the operator's is its own
    close(op.in_float64().matvec(v.double()), expected)
    assert theirs.weight.dtype == torch.float32
