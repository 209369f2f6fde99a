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
        rho: SAM's radius by recipe, without the ``-sam``: a number, or the steps of a schedule.
    """

    name: str
    source: str
    common: dict[str, Any] = field(default_factory=dict)
    rho: dict[str, float | tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def radius(self, recipe: str) -> dict[str, Any]:
        """Return the fields that give ``recipe`` its radius."""
        rho = self.rho[recipe]
        return {"rho_schedule": rho} if isinstance(rho, tuple) else {"rho": rho}


def steps_of_90(*radii: float) -> tuple[tuple[float, float], ...]:
    """Return the schedule of four radii as the published code has it.

    It counts epochs from 1 and gives the first radius to those up to 5, the second to those up to
    60, the third to those up to 75, and the fourth to the rest. Counted from 0, as here, a step
    begins at 0, 5, 60 and 75, which are also the epochs done before it.
    """
    return tuple((done / 90, rho) for done, rho in zip((0, 5, 60, 75), radii, strict=True))


# What the paper's recipes for photographs share. DRW sets in after 60 of 90 epochs, the 0-based
# epoch 60, as the published code's ``epoch // 60`` has it. Crops of random size belong to the data.
_PHOTOS: dict[str, Any] = {
    "epochs": 90,
    "batch_size": 256,
    "lr_schedule": "cosine",
    "drw_start": 60 / 90,
    "ldam_max_margin": 0.3,
    "augment_crop": 0,
    "vs_gamma": 0.3,
    "vs_tau": 1.0,
}
_NO_VS = "VS: the code's defaults (never published for these data: SAM's radius is LDAM+DRW's)"
_CAUTIOUS, _BOLD = steps_of_90(0.05, 0.1, 0.1, 0.2), steps_of_90(0.05, 0.1, 0.5, 0.5)

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
    "imagenet-lt": Family(
        name="imagenet-lt",
        source=f"Rangwani et al. 2022 and its code, for ResNet-50; {_NO_VS}",
        common={**_PHOTOS, "lr": 0.2, "weight_decay": 2e-4},
        rho=dict.fromkeys(_BASE, _BOLD),
    ),
    "inaturalist18": Family(
        name="inaturalist18",
        source="Rangwani et al. 2022 and its code, for ResNet-50 (its commands give weight decay "
        f"1e-4 to LDAM and leave CE at 2e-4; here all have 1e-4); {_NO_VS}",
        common={**_PHOTOS, "lr": 0.1, "weight_decay": 1e-4},
        rho={"ce": _CAUTIOUS, "ce-drw": _CAUTIOUS, "ldam-drw": _BOLD, "vs": _BOLD},
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

PHOTO_FAMILIES = ("imagenet-lt", "inaturalist18")


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
    if name in _VARIANTS:
        base = _BASE["ce-drw"] if name.startswith("ce-drw") else {}
        values = {**FAMILIES[family].common, **base, **_VARIANTS[name]}
        if OPTIMIZERS[values.get("optimizer", "sgd")].climbs:
            values |= FAMILIES[family].radius("ce-drw")
        return Recipe(name=name, **values)
    plain = name.removesuffix("-sam")
    values = {**FAMILIES[family].common, **_BASE[plain]}
    if name.endswith("-sam"):
        values |= {"optimizer": "sam", **FAMILIES[family].radius(plain)}
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
