from math import cos, pi

import pytest
import torch

from checkpoints import get_recipe
from checkpoints.recipes.recipe import Recipe
from checkpoints.recipes.schedules import (
    ascent_radius,
    learning_rate,
    sampling_probabilities,
)
from checkpoints.training.job import default_epochs
from spectra.results.provenance import drw_switch


def recipe_of(epochs: int, **fields: object) -> Recipe:
    return get_recipe("ce").with_overrides({"epochs": epochs, **fields})


def rates(recipe: Recipe) -> list[float]:
    return [learning_rate(recipe, epoch) for epoch in range(recipe.epochs)]


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 0.02),
        (1, 0.04),
        (2, 0.06),
        (3, 0.08),
        (4, 0.1),
        (5, 0.1),
        (159, 0.1),
        (160, 1e-3),
        (179, 1e-3),
        (180, 1e-5),
        (199, 1e-5),
    ],
)
def test_learning_rate_of_200_epochs_is_the_published_one(epoch, rate):
    # one multiplication against a decimal constant: 1 part in 1e15
    assert learning_rate(recipe_of(200), epoch) == pytest.approx(rate, rel=1e-15)


@pytest.mark.parametrize(
    ("epochs", "factors"),
    [
        (100, [0.4, 0.8, *[1.0] * 78, *[1e-2] * 10, *[1e-4] * 10]),
        (10, [*[1.0] * 8, 1e-2, 1e-4]),
        (5, [*[1.0] * 4, 1e-2]),
        (1, [1.0]),
    ],
)
def test_learning_rate_scales_with_the_number_of_epochs(epochs, factors):
    # lr = 1 makes the rates the factors themselves; (e+1)/2.5 rounds once
    assert rates(recipe_of(epochs, lr=1.0)) == pytest.approx(factors, rel=1e-15)


def test_cosine_learning_rate_is_half_a_cosine_without_warm_up():
    # one product of two numbers of order 1: 1 part in 1e15
    expected = [0.2 * (1 + cos(pi * e / 90)) / 2 for e in range(90)]
    actual = rates(recipe_of(90, lr=0.2, lr_schedule="cosine"))
    assert actual == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("epochs", "switch"), [(200, 160), (100, 80), (90, 72), (10, 8), (5, 4), (2, 2), (1, 1)]
)
def test_reweighting_starts_after_four_fifths_of_the_epochs(epochs, switch):
    assert drw_switch(epochs) == switch


@pytest.mark.parametrize("epochs", [5, 10, 50, 100, 200, 333])
def test_reweighting_starts_with_the_first_drop_of_the_learning_rate(epochs):
    recipe = recipe_of(epochs, lr=1.0)
    first_drop = next(e for e in range(epochs) if learning_rate(recipe, e) < 0.02)
    assert drw_switch(epochs) == first_drop


def test_radius_is_constant_without_a_schedule():
    recipe = get_recipe("ce-sam", "cifar100")
    assert {ascent_radius(recipe, epoch) for epoch in range(200)} == {0.2}


def test_radius_steps_at_the_given_fractions():
    recipe = recipe_of(200, optimizer="sam", rho_schedule="0:0.05,0.025:0.1,0.8:0.5")
    steps = {0: 0.05, 4: 0.05, 5: 0.1, 159: 0.1, 160: 0.5, 199: 0.5}
    assert {epoch: ascent_radius(recipe, epoch) for epoch in steps} == steps


@pytest.mark.parametrize(("epochs", "start"), [(100, 0.07), (100, 0.55), (50, 0.14), (50, 0.28)])
def test_radius_steps_at_the_epoch_that_a_fraction_names(epochs, start):
    recipe = recipe_of(epochs, optimizer="sam", rho_schedule=f"0:0.1,{start}:0.5")
    first = next(e for e in range(epochs) if ascent_radius(recipe, e) == 0.5)
    assert first == round(start * epochs)


def test_radius_before_the_first_step_of_its_schedule_is_rho():
    recipe = recipe_of(10, optimizer="sam", rho=0.3, rho_schedule="0.5:0.7")
    assert [ascent_radius(recipe, e) for e in range(10)] == [0.3] * 5 + [0.7] * 5


def test_resampling_draws_every_class_with_equal_chance():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    chance = sampling_probabilities(recipe_of(1, weighting="resample"), labels, (4, 2, 1))
    expected = torch.tensor([1 / 12] * 4 + [1 / 6] * 2 + [1 / 3], dtype=torch.float64)
    # seven float64 roundings of numbers below 1
    torch.testing.assert_close(chance, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [
        (200, (10, 50, 100, 160, 161, 170, 190, 200)),
        (100, (5, 25, 50, 80, 81, 85, 95, 100)),
        (5, (1, 2, 4, 5)),
        (1, (1,)),
    ],
)
def test_default_epochs_are_the_papers_scaled_and_both_sides_of_the_switch(epochs, kept):
    assert default_epochs(recipe_of(epochs)) == kept
