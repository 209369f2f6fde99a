"""What the folder and file names of long-tail code bases tell about a training run.

The code of Rangwani et al. 2022 (github.com/val-iisc/Saddle-LongTail) keeps its checkpoints as
``checkpoint/<store_name>/{ckpt,ckpt.best,<epoch>_ckpt}.pth.tar``, where ``store_name`` is
``<data>_<arch>_<loss>_<rule>_<imbalance>_<factor>[_sam_<rho>_sched_<schedule>]_seed_<seed>_<tag>``.
"""

import re
from dataclasses import dataclass

from checkpoints.data.dataset import Normalisation
from checkpoints.data.longtail import class_counts
from checkpoints.data.normalisations import CIFAR
from checkpoints.recipes.recipe import Recipe
from spectra.errors import InputError

_STORE_NAME = re.compile(
    r"(?P<data>cifar100?)_(?P<arch>resnet\d+)_(?P<loss>CE|LDAM|Focal|VS)"
    r"_(?P<rule>None|DRW|Reweight|Resample)_(?P<profile>exp|step)_(?P<factor>[\d.]+)"
    r"(?:_sam_(?P<rho>[\d.]+)_sched_(?P<schedule>none|linear|step))?"
    r"_seed_(?P<seed>None|\d+)_(?P<tag>.*)"
)
_WEIGHTINGS = {"None": "none", "DRW": "drw", "Reweight": "reweight", "Resample": "resample"}
_CLAIMS = {"ce", "ldam", "vs", "focal", "drw", "sam", "asam"}


@dataclass(frozen=True)
class ToldByNames:
    """What names tell; None where they do not.

    Attributes:
        recipe: only where the names leave one reading.
        label: short name of the run.
        class_counts: training images of each class.
        normalisation: what the code that uses such names applies.
        seed: training seed.
        notes: what was read, and what was not believed.
    """

    recipe: Recipe | None = None
    label: str | None = None
    class_counts: tuple[int, ...] | None = None
    normalisation: Normalisation | None = None
    seed: int | None = None
    notes: tuple[str, ...] = ()


def read_names(folder: str, file: str, *, head: str, num_classes: int) -> ToldByNames:
    """Read the names of a checkpoint's folder and file, and hold them against its weights.

    Args:
        folder: name of the folder, the published code's ``store_name``.
        file: name of the file.
        head: ``linear`` or ``cosine``, as the weights have it.
        num_classes: as the weights have it.
    """
    match = _STORE_NAME.fullmatch(folder)
    if match is None:
        return ToldByNames(notes=_loose_claims(folder, file, head))
    notes = chosen_on_test_images(file)
    if num_classes != (100 if match["data"] == "cifar100" else 10):
        notes += (
            f"the folder name {folder} speaks of {match['data']}, the weights of {num_classes} "
            "classes: the name was not believed",
        )
        return ToldByNames(notes=notes)
    recipe, said = _recipe(match, head)
    try:
        counts = class_counts(
            match["profile"],
            num_classes=num_classes,
            n_max=50_000 // num_classes,
            imbalance_factor=float(match["factor"]),
        )
    except (InputError, ValueError):
        counts = None
    return ToldByNames(
        recipe=recipe,
        label=recipe.name if recipe else None,
        class_counts=counts,
        normalisation=CIFAR,
        seed=None if match["seed"] == "None" else int(match["seed"]),
        notes=(*notes, *(f"folder name {folder}: {text}" for text in said)),
    )


def _recipe(match: re.Match[str], head: str) -> tuple[Recipe | None, list[str]]:
    """Return the recipe that a store_name spells out, or None and the reason."""
    loss, weighting = match["loss"].lower(), _WEIGHTINGS[match["rule"]]
    name = loss + ("" if weighting == "none" else f"-{weighting}")
    sam = match["rho"] is not None
    name += "-sam" if sam else ""
    if sam:
        name += "" if match["schedule"] == "none" else f" with a {match['schedule']} rho schedule"
    if head == "cosine" and loss != "ldam":
        return None, [
            f"it claims {match['loss']}, but the head is a cosine head, which that code builds for "
            "LDAM only: probably LDAM; recipe not taken over"
        ]
    if head == "linear" and loss == "ldam":
        return None, ["it claims LDAM, but the head is linear; recipe not taken over"]
    if loss in ("focal", "vs") or (sam and match["schedule"] != "none"):
        return None, [f"{name}; its hyperparameters are not in the name, recipe not taken over"]
    try:
        recipe = Recipe(
            name=name,
            loss=loss,
            weighting=weighting,
            optimizer="sam" if sam else "sgd",
            rho=float(match["rho"] or 0.0),
        )
    except (InputError, ValueError):
        return None, [f"{name}, but rho {match['rho']} is no radius; recipe not taken over"]
    return recipe, [
        f"recipe {name}" + (f", rho {match['rho']}" if sam else ""),
        "epochs, batch size and learning rate are assumed to be that code's defaults",
    ]


def chosen_on_test_images(file: str) -> tuple[str, ...]:
    """Return a note where the published code chose the weights by their test accuracy."""
    if file.startswith("ckpt.best."):
        return (
            "ckpt.best: the published code chose this epoch by its accuracy on the test images",
        )
    if file.startswith("ckpt."):
        return (
            "ckpt: the published code rewrites this file only when the accuracy on the test images "
            "rises, so the epoch was probably chosen on them; <epoch>_ckpt files are not",
        )
    return ()


def _loose_claims(folder: str, file: str, head: str) -> tuple[str, ...]:
    """Note what other names claim; nothing is taken over from them."""
    text = f"{folder}/{file}".lower()
    claims = [word for word in re.split(r"[^a-z]+", text) if word in _CLAIMS]
    notes = chosen_on_test_images(file) if file.startswith("ckpt.best.") else ()
    if claims:
        rho = re.search(r"rho[_=-]?(\d*\.\d+|\d+)", text)
        notes += (
            f"the names claim {'+'.join(dict.fromkeys(claims)).upper()}"
            + (f" with rho {rho[1]}" if rho else "")
            + "; no recipe was taken over",
        )
    if "ce" in claims and head == "cosine":
        notes += (
            "the name claims CE, but the head is a cosine head, which goes with LDAM: probably "
            "LDAM",
        )
    return notes
