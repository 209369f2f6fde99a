"""SGD: the gradient at the weights."""

from typing import Self

import torch
from torch import nn

from checkpoints.recipes.recipe import Recipe
from checkpoints.training.parallel.gradients import sum_stored
from checkpoints.training.steps.interface import Batch, StepRule, trainable


class SGD(StepRule):
    """∇L(w), as the batch has it.

    Args:
        parameters: see :class:`StepRule`.
    """

    plain = True

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule."""
        return cls(trainable(model))

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """One pass."""
        batch.mean().backward()
        sum_stored(self.parameters, self.world)
