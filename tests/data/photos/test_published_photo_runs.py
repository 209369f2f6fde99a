"""Runs of the published code on ImageNet-LT and iNaturalist 2018, as their folders are named."""

import pytest

from checkpoints.formats.photo_run_names import read_photo_names
from checkpoints.recipes.schedules import ascent_radius

SAM = "imagenet_resnet50_LDAM_DRW_exp_0.01_sam_rho_step_0.05-0.1-0.5-0.5_0"
PLAIN = "inat_18_resnet50_CE_DRW_exp_0.01_0"


def told(folder, head="linear", classes=1000, file="ckpt.pth.tar"):
    return read_photo_names(folder, file, head=head, num_classes=classes)


def test_recipe_and_radii_are_read_from_the_folder():
    recipe = told(SAM, "cosine").recipe
    assert (recipe.name, recipe.epochs, recipe.lr) == ("ldam-drw-sam", 90, 0.2)
    assert [ascent_radius(recipe, e) for e in (4, 5, 60, 75)] == [0.05, 0.1, 0.5, 0.5]


def test_weight_decay_on_inaturalist_is_that_of_the_published_commands():
    assert told(PLAIN, classes=8142).recipe.weight_decay == 2e-4
    ldam = PLAIN.replace("CE", "LDAM")
    assert told(ldam, "cosine", classes=8142).recipe.weight_decay == 1e-4


@pytest.mark.parametrize(
    ("folder", "classes", "name"), [(SAM, 1000, "imagenet"), (PLAIN, 8142, "inaturalist18")]
)
def test_each_data_set_has_its_own_normalisation(folder, classes, name):
    assert told(folder, "cosine", classes).normalisation.name == name


def test_a_note_says_that_classes_are_numbered_by_size():
    assert any("imagenet-lt:FOLDER,sorted" in note for note in told(SAM, "cosine").notes)


@pytest.mark.parametrize(
    ("folder", "head", "classes", "reason"),
    [
        (SAM, "linear", 1000, "LDAM with rule DRW and a linear head is none of the paper's"),
        (SAM, "cosine", 365, "the name was not believed"),
        (SAM.replace("DRW", "Resample"), "cosine", 1000, "rule Resample"),
        (SAM.replace("0.05", "0.0.5"), "cosine", 1000, "are no radii"),
    ],
)
def test_a_name_that_fits_no_recipe_gives_a_note_alone(folder, head, classes, reason):
    found = told(folder, head, classes)
    assert found.recipe is None
    assert any(reason in note for note in found.notes)


@pytest.mark.parametrize(("file", "chosen"), [("ckpt.best.pth.tar", True), ("ckpt.pth.tar", False)])
def test_only_the_best_file_was_chosen_on_test_images(file, chosen):
    notes = told(PLAIN, classes=8142, file=file).notes
    assert any("test images" in note for note in notes) == chosen


def test_other_names_are_none_of_these():
    assert told("cifar10_resnet32_CE_DRW_exp_0.01_seed_0_0") is None
