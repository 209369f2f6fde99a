import pytest
import torch
from step_problems import Line, filled, line_batch, plain_slope, softmax_net

from checkpoints import get_recipe, load_data
from checkpoints.models import Architecture
from checkpoints.recipes.families import RECIPE_NAMES
from checkpoints.recipes.recipe import OPTIMIZERS
from checkpoints.training.job import TrainingJob, state_path
from checkpoints.training.resume import load_history
from checkpoints.training.run import train_job
from checkpoints.training.steps.choose import plain_optimizers, rule_class, step_rule
from checkpoints.training.steps.sgd import SGD
from spectra import make_generator

COUNTS = (9, 5, 2)


def rule_of(optimizer: str):
    recipe = get_recipe("ce").with_overrides({"optimizer": optimizer, "rho": 0.1})
    return step_rule(recipe, softmax_net(), COUNTS)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_of_the_table_has_a_rule(optimizer):
    assert type(rule_of(optimizer)) is rule_class(optimizer)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_rule_that_climbs_takes_each_epochs_radius(optimizer):
    rule = rule_of(optimizer)
    rule.start_epoch(0.7, make_generator(0))
    assert (rule.numbers == 0.7) == OPTIMIZERS[optimizer].climbs


def test_sgd_is_the_gradient_at_w():
    found, left = filled(SGD)
    assert (found, left) == (pytest.approx(plain_slope(0.8), rel=1e-12), 0.8)


def test_the_optimizers_whose_steps_can_be_recorded_are_the_plain_ones():
    assert plain_optimizers() == ("sgd", "sam", "asam")


def test_a_plain_rule_never_asks_for_labels_on_the_cpu():
    class NoCopy(torch.Tensor):
        def cpu(self):
            raise AssertionError("labels were copied")

    for optimizer in plain_optimizers():
        model = Line()
        batch = line_batch(model)
        batch.labels = batch.labels.as_subclass(NoCopy)
        recipe = get_recipe("ce").with_overrides({"optimizer": optimizer, "rho": 0.1})
        step_rule(recipe, model, COUNTS).fill(batch, make_generator(0))


@pytest.mark.parametrize("name", [n for n in RECIPE_NAMES if n not in ("ce-drw", "vs")])
def test_every_recipe_trains_and_lowers_the_loss(name, tmp_path):
    recipe = get_recipe(name, "digits").with_overrides({"epochs": 3})
    data = load_data()
    architecture = Architecture("digits-resnet", 10, 1, 8, recipe.head)
    train_job(TrainingJob(recipe, data, architecture, 0, tmp_path, ()))
    losses = [epoch.train_loss for epoch in load_history(state_path(tmp_path))]
    assert losses[1] < losses[0]  # re-weighting starts in the third


@pytest.mark.parametrize("name", ["ce-drw-pgd", "ce-drw-lpf-sgd", "ce-drw-cc-sam"])
def test_a_resumed_run_ends_in_the_same_bytes(name, tmp_path):
    recipe = get_recipe(name, "digits").with_overrides({"epochs": 2, "pgd_threshold": 100.0})
    data, architecture = load_data(), Architecture("digits-resnet", 10, 1, 8)

    class StopError(Exception):
        pass

    def stop(what: str, done: int, planned: int) -> None:
        raise StopError

    whole, broken = (TrainingJob(recipe, data, architecture, 0, tmp_path / x, ()) for x in "ab")
    (path,) = train_job(whole)
    with pytest.raises(StopError):
        train_job(broken, on_progress=stop)
    (again,) = train_job(broken, resume=True)
    assert path.read_bytes() == again.read_bytes()
