"""The recipes of ImageNet-LT and iNaturalist 2018, epoch by epoch at every border."""

import math

import pytest

from checkpoints import get_recipe
from checkpoints.recipes.recipe import Recipe
from checkpoints.recipes.schedules import ascent_radius, class_weights, learning_rate
from checkpoints.training.job import default_epochs
from spectra.errors import InputError
from spectra.results.provenance import CheckpointIdentity

PHOTOS = ("imagenet-lt", "inaturalist18")
BORDERS = (0, 4, 5, 59, 60, 74, 75, 89)  # 0-based: the published code counts these from 1
COUNTS = (1280, 100, 5)


@pytest.mark.parametrize(
    ("family", "lr", "decay"), [(PHOTOS[0], 0.2, 2e-4), (PHOTOS[1], 0.1, 1e-4)]
)
@pytest.mark.parametrize("name", ["ce", "ce-drw", "ce-drw-sam", "ldam-drw", "ldam-drw-sam"])
def test_photo_recipes_have_the_published_hyperparameters(name, family, lr, decay):
    recipe = get_recipe(name, family)
    published = {
        "epochs": 90,
        "batch_size": 256,
        "lr": lr,
        "lr_schedule": "cosine",
        "weight_decay": decay,
        "momentum": 0.9,
        "cb_beta": 0.9999,
        "ldam_max_margin": 0.3,
        "drw_switch": 60,
    }
    assert {key: getattr(recipe, key) for key in published} == published


@pytest.mark.parametrize(
    ("family", "name", "radii"),
    [
        ("imagenet-lt", "ce-drw-sam", (0.05, 0.1, 0.5, 0.5)),
        ("imagenet-lt", "ldam-drw-sam", (0.05, 0.1, 0.5, 0.5)),
        ("inaturalist18", "ce-sam", (0.05, 0.1, 0.1, 0.2)),
        ("inaturalist18", "ce-drw-sam", (0.05, 0.1, 0.1, 0.2)),
        ("inaturalist18", "ce-drw-asam", (0.05, 0.1, 0.1, 0.2)),
        ("inaturalist18", "ldam-drw-sam", (0.05, 0.1, 0.5, 0.5)),
    ],
)
def test_radius_steps_after_5_60_and_75_epochs(family, name, radii):
    first, second, third, fourth = radii
    recipe = get_recipe(name, family)
    expected = [first, first, second, second, third, third, fourth, fourth]
    assert [ascent_radius(recipe, epoch) for epoch in BORDERS] == expected


@pytest.mark.parametrize("family", PHOTOS)
def test_learning_rate_falls_along_half_a_cosine_from_the_first_epoch(family):
    recipe = get_recipe("ldam-drw", family)
    expected = [recipe.lr * (1 + math.cos(math.pi * e / 90)) / 2 for e in BORDERS]
    # the same formula, rounded in another order
    assert [learning_rate(recipe, e) for e in BORDERS] == pytest.approx(expected, rel=1e-14)
    assert learning_rate(recipe, 0) == recipe.lr


@pytest.mark.parametrize("family", PHOTOS)
@pytest.mark.parametrize("name", ["ce-drw", "ldam-drw-sam"])
def test_weights_set_in_at_the_0_based_epoch_60(family, name):
    recipe = get_recipe(name, family)
    rare = [float(class_weights(recipe, COUNTS, epoch)[-1]) for epoch in BORDERS]
    assert rare[:4] == [1.0] * 4
    assert min(rare[4:]) > 2
    assert len(set(rare[4:])) == 1


@pytest.mark.parametrize(
    ("epochs", "switch", "steps"), [(9, 6, {0, 1, 6}), (180, 120, {0, 10, 120})]
)
def test_steps_and_switch_scale_with_the_number_of_epochs(epochs, switch, steps):
    recipe = get_recipe("ldam-drw-sam", "imagenet-lt").with_overrides({"epochs": epochs})
    assert recipe.drw_switch == switch
    radii = [ascent_radius(recipe, e) for e in range(epochs)]
    assert {0, *(e for e in range(1, epochs) if radii[e] != radii[e - 1])} == steps


def test_epochs_around_the_switch_are_kept():
    assert {60, 61, 90} <= set(default_epochs(get_recipe("ce-drw", "imagenet-lt")))


def test_one_radius_that_is_given_is_that_of_every_epoch():
    recipe = get_recipe("ce-drw-sam", "imagenet-lt").with_overrides({"rho": "0.3"})
    assert {ascent_radius(recipe, e) for e in range(90)} == {0.3}


def test_a_radius_before_the_first_step_of_a_schedule_leaves_the_schedule():
    late = get_recipe("ce-sam").with_overrides({"rho_schedule": "0.5:0.7"})
    assert late.with_overrides({"rho": 0.2}).rho_schedule == ((0.5, 0.7),)


# --- where DRW starts -------------------------------------------------------------------------


def test_recipes_of_before_there_was_a_choice_are_written_as_they_were():
    assert "drw_start" not in get_recipe("ce-drw").to_dict()


@pytest.mark.parametrize("family", ["cifar10", *PHOTOS])
def test_recipes_come_back_as_they_were_written(family):
    recipe = get_recipe("ldam-drw-sam", family)
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize("start", [-0.1, 1.1, math.nan])
def test_drw_starts_within_the_training(start):
    with pytest.raises(InputError, match="drw_start must"):
        get_recipe("ce-drw").with_overrides({"drw_start": start})


@pytest.mark.parametrize(("family", "switch"), [("cifar10", 160), ("imagenet-lt", 60)])
def test_figures_draw_the_switch_where_the_recipe_has_it(family, switch):
    fields = get_recipe("ce-drw", family).to_dict()
    assert CheckpointIdentity("a", recipe_fields=fields).switch_epoch == switch
