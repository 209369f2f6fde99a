import pytest
import torch
from loss_values import COUNTS, close

from checkpoints import get_recipe
from checkpoints.recipes.schedules import class_weights


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
