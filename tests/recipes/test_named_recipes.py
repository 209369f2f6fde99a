import dataclasses
import json

import pytest

from checkpoints import RECIPE_NAMES, get_recipe, load_recipe
from checkpoints.recipes.families import FAMILIES, PAPER_RECIPES
from checkpoints.recipes.recipe import Recipe
from spectra.errors import InputError

EIGHT = ("ce", "ce-sam", "ce-drw", "ce-drw-sam", "ldam-drw", "ldam-drw-sam", "vs", "vs-sam")


def test_there_are_the_eight_recipes_of_the_paper():
    assert PAPER_RECIPES == EIGHT


def test_the_other_optimizers_and_losses_have_recipes():
    assert set(RECIPE_NAMES) - set(EIGHT) == {
        "ce-drw-pgd", "ce-drw-lpf-sgd", "ce-drw-asam", "ce-drw-imbsam", "ce-drw-cc-sam",
        "ce-drw-focal-sam", "la", "focal",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ce-drw-asam", "ce-drw-imbsam", "ce-drw-cc-sam"])
def test_rivals_of_sam_have_its_radius(name):
    assert get_recipe(name).rho == get_recipe("ce-drw-sam").rho > 0


@pytest.mark.parametrize("family", ["cifar10", "cifar100", "digits"])
@pytest.mark.parametrize(
    ("name", "loss", "weighting", "head"),
    [
        ("ce", "ce", "none", "linear"),
        ("ce-drw", "ce", "drw", "linear"),
        ("ldam-drw", "ldam", "drw", "cosine"),
        ("vs", "vs", "none", "linear"),
    ],
)
@pytest.mark.parametrize(("suffix", "optimizer"), [("", "sgd"), ("-sam", "sam")])
def test_names_say_loss_weighting_and_optimizer(
    family, name, loss, weighting, head, suffix, optimizer
):
    r = get_recipe(name + suffix, family)
    assert (r.name, r.loss, r.weighting, r.head, r.optimizer) == (
        name + suffix,
        loss,
        weighting,
        head,
        optimizer,
    )


@pytest.mark.parametrize(
    ("family", "radii"),
    [
        ("cifar10", {"ce-sam": 0.1, "ce-drw-sam": 0.5, "ldam-drw-sam": 0.8}),
        ("cifar100", {"ce-sam": 0.2, "ce-drw-sam": 0.8, "ldam-drw-sam": 0.8}),
    ],
)
def test_radii_are_the_published_ones(family, radii):
    assert {name: get_recipe(name, family).rho for name in radii} == radii


@pytest.mark.parametrize("family", ["cifar10", "cifar100"])
@pytest.mark.parametrize("name", EIGHT)
def test_cifar_recipes_share_the_published_hyperparameters(family, name):
    r = get_recipe(name, family)
    published = {
        "epochs": 200,
        "batch_size": 128,
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 2e-4,
        "lr_schedule": "step",
        "augment_crop": 4,
        "augment_flip": True,
        "cb_beta": 0.9999,
        "ldam_max_margin": 0.5,
        "logit_scale": 30.0,
        "sam_bn": "both",
    }
    assert {key: getattr(r, key) for key in published} == published


@pytest.mark.parametrize(
    ("family", "gamma", "tau"), [("cifar10", 0.2, 1.2), ("cifar100", 0.3, 1.0)]
)
def test_vs_settings_are_those_of_the_released_codes(family, gamma, tau):
    r = get_recipe("vs", family)
    assert (r.vs_gamma, r.vs_tau) == (gamma, tau)


def test_digits_are_not_flipped():
    assert not get_recipe("ce", "digits").augment_flip


@pytest.mark.parametrize("name", ["", "sam", "CE", "ce-sam-sam", "drw"])
def test_an_unknown_recipe_is_refused(name):
    with pytest.raises(InputError, match="unknown recipe"):
        get_recipe(name)


def test_an_unknown_family_is_refused():
    with pytest.raises(InputError, match="unknown family 'imagenet'; expected one of cifar10"):
        get_recipe("ce", "imagenet")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", EIGHT)
def test_a_recipe_survives_json(name, family):
    r = get_recipe(name, family).with_overrides({"rho_schedule": "0:0.05,0.8:0.5"})
    assert Recipe.from_dict(json.loads(json.dumps(r.to_dict(), allow_nan=False))) == r


def test_plain_form_with_an_unknown_field_is_refused():
    with pytest.raises(InputError, match="unknown recipe field 'later'"):
        Recipe.from_dict({**get_recipe("ce").to_dict(), "later": 1})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", EIGHT)
def test_a_recipe_survives_toml(tmp_path, name, family):
    r = get_recipe(name, family).with_overrides({"rho_schedule": "0:0.05,0.8:0.5"})
    # a JSON string, number, boolean or list of lists reads the same in TOML
    lines = [f"{key} = {json.dumps(value)}" for key, value in r.to_dict().items()]
    (tmp_path / "r.toml").write_text("\n".join(lines))
    assert load_recipe(tmp_path / "r.toml") == r


def test_toml_names_its_base_in_the_asked_family(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "ce-drw-sam"\nlr = 0.3\n')
    expected = get_recipe("ce-drw-sam", "cifar100").with_overrides({"lr": 0.3})
    assert load_recipe(tmp_path / "mine.toml", "cifar100") == dataclasses.replace(
        expected, name="mine"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"lr = ",
        b"lr = 'fast'",
        b"learning_rate = 0.1",
        b"base = 'adam'",
        b"[lr]\nvalue = 1",
        b"epochs = 0",
        b"\xff\xfe",
    ],
)
def test_bad_toml_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(InputError) as error:
        load_recipe(tmp_path / "r.toml")
    assert "\n" not in str(error.value)


def test_absent_toml_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        load_recipe(tmp_path / "absent.toml")
