"""The rule of a recipe's step, found by the table of optimizers."""

import importlib

from torch import nn

from checkpoints.recipes.recipe import OPTIMIZERS, Recipe
from checkpoints.training.parallel.shares import ALONE
from checkpoints.training.steps.interface import StepRule
from spectra.system.ranks import World


def step_rule(
    recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...], world: World = ALONE
) -> StepRule:
    """Return the rule that a recipe's optimizer steps by.

    Args:
        recipe: whose optimizer.
        model: to be trained.
        class_counts: training images of each class.
        world: the ranks that each batch is shared out over.

    Raises:
        InputError: network or classes do not fit the rule.
    """
    rule = rule_class(recipe.optimizer).of_recipe(recipe, model, class_counts)
    rule.world = world
    return rule


def rule_class(optimizer: str) -> type[StepRule]:
    """Return the rule behind a name of :data:`checkpoints.recipes.recipe.OPTIMIZERS`."""
    module, _, name = OPTIMIZERS[optimizer].rule.partition(":")
    found = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    assert issubclass(found, StepRule), f"{optimizer}: {found} is no StepRule"
    return found


def plain_optimizers() -> tuple[str, ...]:
    """Return the optimizers whose steps can be recorded and compiled: :attr:`StepRule.plain`."""
    return tuple(name for name in OPTIMIZERS if rule_class(name).plain)
