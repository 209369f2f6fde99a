"""The recipes that have names, with the hyperparameters of each family of data."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from checkpoints.recipes.recipe import OPTIMIZERS, Recipe, recipe_fields
from spectra.errors import InputError
from spectra.results.plain import check_keys, from_plain
from spectra.system.files.documents import read_toml

_BASE: dict[str, dict[str, Any]] = {
    "ce": {},
    "ce-drw": {"weighting": "drw"},
    "ldam-drw": {"loss": "ldam", "weighting": "drw"},
    "vs": {"loss": "vs"},
}
# Beside the paper's four and their SAM twins: its other optimizers, and rivals of SAM, on CE+DRW.
_VARIANTS: dict[str, dict[str, Any]] = {
    "ce-drw-pgd": {"optimizer": "pgd"},
    # The published code trains it without augmentation; the paper's table does not say.
    "ce-drw-lpf-sgd": {"optimizer": "lpf-sgd"},
    "ce-drw-asam": {"optimizer": "asam"},
    "ce-drw-imbsam": {"optimizer": "imbsam"},
    "ce-drw-cc-sam": {"optimizer": "cc-sam"},
    "ce-drw-focal-sam": {"optimizer": "focal-sam"},
    "la": {"loss": "la", "vs_tau": 1.0},
    "focal": {"loss": "focal"},
}
PAPER_RECIPES = tuple(name + sam for name in _BASE for sam in ("", "-sam"))
RECIPE_NAMES = (*PAPER_RECIPES, *_VARIANTS)


@dataclass(frozen=True)
class Family:
    """Hyperparameters shared by the recipes of one kind of data.

    Attributes:
        name: what the family is called.
        source: where the values come from.
        common: fields that every recipe of the family sets.
        rho: SAM's radius by recipe, without the ``-sam``.
    """

    name: str
    source: str
    common: dict[str, Any] = field(default_factory=dict)
    rho: dict[str, float] = field(default_factory=dict)


FAMILIES = {
    "cifar10": Family(
        name="cifar10",
        source="Rangwani et al. 2022 and its code; VS: Kini et al. 2021 (no SAM radius published "
        "for VS: that of LDAM+DRW is used)",
        rho={"ce": 0.1, "ce-drw": 0.5, "ldam-drw": 0.8, "vs": 0.8},
    ),
    "cifar100": Family(
        name="cifar100",
        source="Rangwani et al. 2022 and its code; VS: the code's defaults (no SAM radius "
        "published for VS: that of LDAM+DRW is used)",
        common={"vs_gamma": 0.3, "vs_tau": 1.0},
        rho={"ce": 0.2, "ce-drw": 0.8, "ldam-drw": 0.8, "vs": 0.8},
    ),
    "digits": Family(
        name="digits",
        source="ours, because nobody has published any: see docs/digits.md",
        common={
            "epochs": 200,
            "batch_size": 32,
            "lr": 0.1,
            "weight_decay": 2e-4,
            "augment_crop": 1,
            "augment_flip": False,
        },
        rho={"ce": 0.1, "ce-drw": 0.1, "ldam-drw": 0.1, "vs": 0.1},
    ),
}


def get_recipe(name: str, family: str = "cifar10") -> Recipe:
    """Return a named recipe with the hyperparameters of a family of data.

    Raises:
        InputError: the name or the family is unknown.

    Example:
        >>> from checkpoints import get_recipe
        >>> get_recipe("ce-drw-sam").optimizer
        'sam'
    """
    if name not in RECIPE_NAMES:
        raise InputError(f"unknown recipe {name!r}; expected one of {', '.join(RECIPE_NAMES)}")
    if family not in FAMILIES:
        raise InputError(f"unknown family {family!r}; expected one of {', '.join(FAMILIES)}")
    rho = FAMILIES[family].rho
    if name in _VARIANTS:
        base = _BASE["ce-drw"] if name.startswith("ce-drw") else {}
        values = {**FAMILIES[family].common, **base, **_VARIANTS[name]}
        if OPTIMIZERS[values.get("optimizer", "sgd")].climbs:
            values["rho"] = rho["ce-drw"]
        return Recipe(name=name, **values)
    plain = name.removesuffix("-sam")
    values = {**FAMILIES[family].common, **_BASE[plain]}
    if name.endswith("-sam"):
        values |= {"optimizer": "sam", "rho": rho[plain]}
    return Recipe(name=name, **values)


def load_recipe(path: Path, family: str = "cifar10") -> Recipe:
    """Read a recipe from a TOML file: ``name``, optionally ``base``, and the fields to change.

    Raises:
        InputError: the file is not TOML, holds unknown fields, or a value that does not fit.
    """
    plain = read_toml(path, what="a recipe")
    if not plain:
        raise InputError(f'recipe {path} is empty; give it at least a base, such as base = "ce"')
    origin = f"recipe {path}"
    name = from_plain(plain.pop("name", path.stem), str, origin=origin, at="name")
    base = from_plain(plain.pop("base", "ce"), str, origin=origin, at="base")
    check_keys(plain, recipe_fields(), origin=origin, at="")
    try:
        return replace(get_recipe(base, family).with_overrides(plain), name=name)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error
