import dataclasses

import pytest

from checkpoints import get_recipe, load_recipe
from checkpoints.recipes.recipe import Recipe, recipe_fields
from spectra.errors import InputError


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("epochs", "30", 30),
        ("lr", "0.05", 0.05),
        ("lr", "1", 1.0),
        ("weight_decay", "5e-4", 5e-4),
        ("augment_flip", "false", False),
        ("augment_flip", "True", True),
        ("loss", "vs", "vs"),
        ("rho_schedule", "0:0.05,0.8:0.5", ((0.0, 0.05), (0.8, 0.5))),
        ("rho_schedule", "", ()),
        ("rho_schedule", [[0, 1], [0.5, 2]], ((0.0, 1.0), (0.5, 2.0))),
    ],
)
def test_overrides_are_read_as_the_type_of_their_field(key, text, value):
    got = getattr(get_recipe("ce").with_overrides({key: text}), key)
    assert (got, type(got)) == (value, type(value))


def test_overrides_leave_the_other_fields_alone():
    changed = dataclasses.asdict(get_recipe("ce-sam").with_overrides({"lr": "0.3"}))
    expected = dataclasses.asdict(get_recipe("ce-sam")) | {"lr": 0.3}
    assert changed == expected


def test_recipe_fields_are_all_but_the_name():
    names = [f.name for f in dataclasses.fields(Recipe)]
    assert list(recipe_fields()) == [name for name in names if name != "name"]


@pytest.mark.parametrize("key", ["learning_rate", "name", "head", ""])
def test_an_unknown_field_is_refused_with_the_known_ones(key):
    with pytest.raises(InputError, match=r"unknown recipe field .*asam_eta, augment_crop"):
        get_recipe("ce").with_overrides({key: "1"})


BAD_VALUES = [
    ("epochs", "0"),
    ("epochs", "1.5"),
    ("epochs", 1.5),
    ("epochs", True),
    ("epochs", "many"),
    ("epochs", float("inf")),
    ("batch_size", -1),
    ("lr", 0),
    ("lr", "-0.1"),
    ("lr", "nan"),
    ("lr", [1]),
    ("momentum", -0.5),
    ("weight_decay", float("nan")),
    ("augment_crop", -1),
    ("augment_flip", "yes"),
    ("augment_flip", 1),
    ("loss", "hinge"),
    ("weighting", "cb"),
    ("optimizer", "adam"),
    ("lr_schedule", "linear"),
    ("sam_bn", "none"),
    ("rho", "-1"),
    ("cb_beta", 1.0),
    ("cb_beta", -0.1),
    ("rho_schedule", "0.1"),
    ("rho_schedule", "a:b"),
    ("rho_schedule", "0:0.1:0.2"),
    ("rho_schedule", "0.8:0.5,0:0.05"),
    ("rho_schedule", "0:0"),
    ("rho_schedule", "1:0.5"),
    ("rho_schedule", "-0.1:0.5"),
    ("rho_schedule", 3),
]


@pytest.mark.parametrize(("key", "value"), BAD_VALUES, ids=[f"{k}={v}" for k, v in BAD_VALUES])
def test_a_bad_value_is_refused_in_one_line_that_names_the_field(key, value):
    with pytest.raises(InputError) as error:
        get_recipe("ce").with_overrides({key: value})
    assert key in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("optimizer", ["sam", "asam"])
def test_an_ascent_without_a_radius_is_refused(optimizer):
    with pytest.raises(InputError, match=f"{optimizer} needs rho > 0, got 0"):
        get_recipe("ce").with_overrides({"optimizer": optimizer})


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize(
    "key",
    [
        "rho",
        "lr",
        "momentum",
        "weight_decay",
        "asam_eta",
        "ldam_max_margin",
        "logit_scale",
        "vs_gamma",
        "vs_tau",
    ],
)
def test_a_field_that_is_not_finite_is_refused(key, value):
    # JSON, which checkpoints store recipes in, has neither NaN nor infinity.
    with pytest.raises(InputError):
        get_recipe("ce").with_overrides({key: value})


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"epochs": "x"}, "epochs must be an integer, got 'x'"),
        ({"lr": "x"}, "lr must be a number, got 'x'"),
    ],
)
def test_a_wrong_value_is_answered_by_what_was_expected(overrides, said):
    with pytest.raises(InputError, match=said):
        get_recipe("ce").with_overrides(overrides)


def test_an_empty_recipe_file_is_refused(tmp_path):
    (tmp_path / "mine.toml").touch()
    with pytest.raises(InputError, match="is empty"):
        load_recipe(tmp_path / "mine.toml")


def test_a_radius_that_is_not_finite_is_refused_in_a_schedule():
    with pytest.raises(InputError):
        get_recipe("ce").with_overrides({"rho_schedule": "0:nan"})


def test_sam_with_a_schedule_needs_no_constant_radius():
    r = get_recipe("ce").with_overrides({"optimizer": "sam", "rho_schedule": "0:0.1"})
    assert r.uses_ascent
