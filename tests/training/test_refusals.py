import pytest
import torch
from tiny_trainings import digests, tiny_data, tiny_job, tiny_recipe

from checkpoints import Architecture
from checkpoints.formats.native import load_native
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job
from checkpoints.training.trainer import all_finite
from spectra import InputError, NonFiniteError


def test_a_run_is_not_overwritten_without_resume(tmp_path):
    train_job(tiny_job(tmp_path))
    before = digests(tmp_path)
    with pytest.raises(InputError, match="holds a run already; add --resume"):
        train_job(tiny_job(tmp_path, seed=1))
    assert digests(tmp_path) == before


def test_a_folder_that_is_being_trained_into_is_refused_and_left_as_it_is(tmp_path, held_elsewhere):
    train_job(tiny_job(tmp_path))
    before = digests(tmp_path)
    with held_elsewhere(tmp_path), pytest.raises(InputError, match=r"in use by process \d+ on"):
        train_job(tiny_job(tmp_path), resume=True)
    assert digests(tmp_path) == before


OTHERS = {
    "recipe": {"recipe": tiny_recipe(lr=0.2)},
    "architecture": {"architecture": Architecture("digits-resnet", 3, 1, 4, shortcut="B")},
    "data": {"data": tiny_data((9, 5, 4))},
    "seed": {"seed": 1},
}


@pytest.mark.parametrize("what", OTHERS)
def test_resuming_another_run_is_refused_in_one_line_that_says_what_differs(tmp_path, what):
    train_job(tiny_job(tmp_path))
    with pytest.raises(InputError, match=f"holds a run with another {what}") as error:
        train_job(tiny_job(tmp_path, **OTHERS[what]), resume=True)
    assert "\n" not in str(error.value)


def test_resuming_with_another_learning_rate_names_both(tmp_path):
    train_job(tiny_job(tmp_path))
    with pytest.raises(InputError, match=r"lr 0\.1, here: 0\.2"):
        train_job(tiny_job(tmp_path, tiny_recipe(lr=0.2)), resume=True)


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_a_damaged_state_is_refused_in_one_line(tmp_path, damage):
    train_job(tiny_job(tmp_path))
    path = tmp_path / "resume.safetensors"
    content = path.read_bytes()
    foreign = checkpoint_path(tmp_path, 5).read_bytes()
    path.write_bytes({"truncated": content[:-9], "empty": b"", "foreign": foreign}[damage])
    with pytest.raises(InputError, match="cannot resume from") as error:
        train_job(tiny_job(tmp_path), resume=True)
    assert "\n" not in str(error.value)


def test_a_class_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"classes \[1\] have no training images"):
        train_job(tiny_job(tmp_path, data=tiny_data((9, 0, 3))))


@pytest.mark.parametrize("epoch", [-1, 6])
def test_an_epoch_to_keep_beyond_the_run_is_refused(tmp_path, epoch):
    with pytest.raises(InputError, match=r"must lie in 0\.\.5"):
        train_job(tiny_job(tmp_path, keep_epochs=(epoch,)))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(NonFiniteError, match=r"training loss of ce is .* in epoch"):
        train_job(tiny_job(tmp_path, tiny_recipe(lr=1e30)))


def test_a_run_that_diverges_keeps_its_earlier_checkpoints(tmp_path):
    # ρ grows to 1e30 at the third of five epochs
    recipe = tiny_recipe("ce-sam", rho_schedule="0:0.1,0.4:1e30")
    with pytest.raises(NonFiniteError):
        train_job(tiny_job(tmp_path, recipe, keep_epochs=(0, 1, 2, 3)))
    for epoch in (0, 1, 2):
        load_native(checkpoint_path(tmp_path, epoch)).model()


@pytest.mark.parametrize("test", [True, False], ids=["with test images", "without"])
def test_a_run_that_diverges_in_the_last_step_of_an_epoch_stops_there(tmp_path, test):
    # one step an epoch: its loss, taken before the step, is finite; the weights after it are not
    recipe = tiny_recipe(lr=1e38, batch_size=100, weight_decay=1e3)
    with pytest.raises(NonFiniteError):
        train_job(tiny_job(tmp_path, recipe, data=tiny_data(test=test), keep_epochs=(0, 1)))
    assert list(digests(tmp_path)) == ["checkpoints/epoch-0000.safetensors"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_found_among_all_tensors(value):
    tensors = [torch.ones(3, 2), torch.tensor([1.0, value]), torch.tensor(7)]
    assert not all_finite(tensors)


def test_finite_tensors_are_finite_however_large():
    # The squares of the largest numbers would overflow; an empty tensor and a count hold nothing.
    tensors = [torch.full((4,), torch.finfo().max), torch.zeros(0), torch.tensor(7)]
    assert all_finite(tensors)
