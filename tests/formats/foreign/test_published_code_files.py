import numpy as np
import pytest
import torch
from foreign_files import SAM_FOLDER, SGD_FOLDER, state

from checkpoints.data.normalisations import CIFAR, IMAGENET
from checkpoints.formats.foreign import load_foreign


def test_the_published_code_counts_finished_epochs(reference):
    assert load_foreign(reference()).epoch == 200


@pytest.mark.parametrize("best", [torch.tensor(75.5), np.float16(75.5), 75.5])
def test_the_best_accuracy_becomes_a_metric(reference, best):
    assert load_foreign(reference(best_acc1=best)).metrics == {"best_acc1": 75.5}


def test_a_numpy_radius_in_the_optimizer_is_noted(reference):
    optimizer = {"state": {}, "param_groups": [{"rho": np.float16(0.5), "params": [0]}]}
    notes = load_foreign(reference(optimizer=optimizer)).notes
    assert "the optimizer state says that SAM's rho was 0.5 when it was saved" in notes


def test_the_recipe_of_the_published_code_is_read_from_the_folder(reference):
    recipe = load_foreign(reference()).recipe
    assert (recipe.name, recipe.loss, recipe.weighting) == ("ce-drw", "ce", "drw")


def test_sams_radius_is_read_from_the_folder(reference):
    recipe = load_foreign(reference(SAM_FOLDER, head="cosine")).recipe
    assert (recipe.name, recipe.optimizer, recipe.rho) == ("ldam-drw-sam", "sam", 0.8)


def test_class_counts_follow_from_the_folder(reference):
    counts = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    assert load_foreign(reference()).class_counts == counts


def test_the_seed_is_read_from_the_folder(reference):
    assert load_foreign(reference(SAM_FOLDER, head="cosine")).seed == 3


def test_the_published_code_normalises_with_the_cifar_constants(reference):
    assert load_foreign(reference()).normalisation == CIFAR


def test_the_users_normalisation_wins(reference):
    assert load_foreign(reference(), normalisation=IMAGENET).normalisation == IMAGENET


def test_an_unknown_normalisation_is_noted(save):
    assert "--normalisation" in load_foreign(save(state())).notes[-1]


def test_the_name_tells_recipe_and_file(reference):
    assert load_foreign(reference()).name == "ce-drw_200_ckpt"


@pytest.mark.parametrize("file", ["ckpt.best.pth.tar", "ckpt.pth.tar"])
def test_checkpoints_chosen_on_test_images_are_noted(reference, file):
    assert any("test images" in note for note in load_foreign(reference(file=file)).notes)


def test_checkpoints_of_a_fixed_epoch_carry_no_such_note(reference):
    assert not any("test images" in note for note in load_foreign(reference()).notes)


@pytest.mark.parametrize(
    ("folder", "head", "reason"),
    [
        (SGD_FOLDER, "cosine", "probably LDAM"),
        (SAM_FOLDER, "linear", "claims LDAM, but the head is linear"),
        (SGD_FOLDER.replace("CE_DRW", "VS_None"), "linear", "hyperparameters are not in the name"),
        (SAM_FOLDER.replace("LDAM", "CE").replace("none", "step"), "linear", "step rho schedule"),
        (SGD_FOLDER.replace("cifar10", "cifar100"), "linear", "the name was not believed"),
        ("CE+DRW+SAM_rho_0.5", "linear", "the names claim CE+DRW+SAM with rho 0.5"),
        ("CE+DRW+SAM", "cosine", "claims CE, but the head is a cosine head"),
    ],
)
def test_a_name_that_leaves_doubt_gives_a_note_and_no_recipe(reference, folder, head, reason):
    loaded = load_foreign(reference(folder, head=head))
    assert loaded.recipe is None
    assert any(reason in note for note in loaded.notes)


def test_words_inside_other_words_claim_nothing(reference):
    assert not any("claim" in n for n in load_foreign(reference("sample_resnet_scene")).notes)
