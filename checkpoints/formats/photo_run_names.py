"""What the published code's folder names tell of its runs on ImageNet-LT and iNaturalist 2018.

There ``store_name`` is ``<data>_resnet50_<loss>_<rule>_<imbalance>_<factor>[_sam_rho_step_<four
radii>]_<tag>``; imbalance and factor say nothing of these data, which are long-tailed as they are.
"""

import re

from checkpoints.data.normalisations import IMAGENET, INATURALIST18
from checkpoints.formats.run_names import ToldByNames, chosen_on_test_images
from checkpoints.recipes.families import get_recipe, steps_of_90
from checkpoints.recipes.recipe import Recipe
from spectra.errors import InputError

_STORE_NAME = re.compile(
    r"(?P<data>imagenet|inat_18)_resnet50_(?P<loss>[A-Za-z]+)_(?P<rule>[A-Za-z]+)"
    r"_(?:exp|step)_[\d.]+(?:_sam_rho_step_(?P<radii>[\d.]+(?:-[\d.]+){3}))?_.*"
)
_DATA = {
    "imagenet": ("imagenet-lt", 1000, IMAGENET),
    "inat_18": ("inaturalist18", 8142, INATURALIST18),
}
# By loss and rule of the name: our recipe, and the weight decay of the published command on
# iNaturalist.
_RECIPES = {
    ("CE", "None"): ("ce", 2e-4),
    ("CE", "DRW"): ("ce-drw", 2e-4),
    ("LDAM", "DRW"): ("ldam-drw", 1e-4),
}


def read_photo_names(folder: str, file: str, *, head: str, num_classes: int) -> ToldByNames | None:
    """Read a folder's name, and hold it against the weights; None where it is no such name.

    Args:
        folder: the published code's ``store_name``.
        file: name of the file.
        head: ``linear`` or ``cosine``, as the weights have it.
        num_classes: as the weights have it.
    """
    match = _STORE_NAME.fullmatch(folder)
    if match is None:
        return None
    family, classes, normalisation = _DATA[match["data"]]
    # Of these runs ckpt.pth.tar is written after every epoch, whatever its accuracy.
    notes = chosen_on_test_images(file) if file.startswith("ckpt.best.") else ()
    if num_classes != classes:
        told = f"the folder name {folder} speaks of {family}, the weights of {num_classes} classes"
        return ToldByNames(notes=(*notes, f"{told}: the name was not believed"))
    recipe, said = _recipe(match, family, head)
    numbered = (
        "that code numbers classes from the one of most training images down: give the data as "
        f"{family}:FOLDER,sorted, or every class stands for another"
    )
    return ToldByNames(
        recipe=recipe,
        label=recipe.name if recipe else None,
        normalisation=normalisation,
        notes=(*notes, f"folder name {folder}: {said}", numbered),
    )


def _recipe(match: re.Match[str], family: str, head: str) -> tuple[Recipe | None, str]:
    known = _RECIPES.get((match["loss"], match["rule"]))
    if known is None or (known[0] == "ldam-drw") != (head == "cosine"):
        return None, (
            f"{match['loss']} with rule {match['rule']} and a {head} head is none of the paper's "
            "recipes; recipe not taken over"
        )
    name, decay = known
    overrides: dict[str, object] = {} if family == "imagenet-lt" else {"weight_decay": decay}
    try:
        if match["radii"]:
            name += "-sam"
            radii = [float(part) for part in match["radii"].split("-")]
            overrides["rho_schedule"] = steps_of_90(*radii)
        recipe = get_recipe(name, family).with_overrides(overrides)
    except (InputError, ValueError):
        return None, f"{match['radii']} are no radii; recipe not taken over"
    steps = f", rho in steps of {match['radii'].replace('-', ', ')}" if match["radii"] else ""
    return recipe, f"recipe {name}{steps}; the rest is assumed to be that of the published commands"
