"""PGD: descent that is pushed at random where the gradient is small."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from checkpoints.recipes.recipe import Recipe
from checkpoints.training.steps.directions import Tensors, norm, standard_normal
from checkpoints.training.steps.interface import Batch, StepRule, trainable


class PerturbedGradient(StepRule):
    """Moves w by a random vector where the gradient is small, then goes on as plain descent.

    A vector uniform in the ball of radius r is added when ‖g‖ <= threshold and the last one was
    more than ``interval`` steps ago, or in another epoch.

    Args:
        parameters: see :class:`StepRule`.
        radius: r.
        threshold: g_thres, of the batch's gradient.
        interval: t_thres, steps.

    Source: Jin et al., ICML 2017, algorithm 2, with a batch's gradient for the full one.
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, radius: float, threshold: float, interval: int
    ) -> None:
        super().__init__(parameters)
        self.radius, self.threshold, self.interval = radius, threshold, interval
        self.since = interval
        self._next: Tensors | None = None

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with r and the two thresholds."""
        return cls(
            trainable(model),
            radius=recipe.pgd_radius,
            threshold=recipe.pgd_threshold,
            interval=recipe.pgd_interval,
        )

    def start_epoch(self, rho: float, generator: torch.Generator) -> None:
        """Allow a perturbation at once."""
        self.since = self.interval
        self._next = self.ball(generator)

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """One pass; two where w is moved. The norm is read where a move is allowed.

        The next vector is on the device before it is needed: after a move it is copied there in the
        step that follows, which reads no norm unless ``interval`` is 0.
        """
        gradient = self.gradient(batch.terms().sum())
        self.since += 1
        if self._next is None:
            self._next = self.ball(generator)
        if self.since > self.interval and float(norm(gradient)) <= self.threshold:
            self.since = 0
            with torch.no_grad():
                torch._foreach_add_(self.parameters, self._next)
            self._next = None
            gradient = self.gradient(batch.terms().sum())
        self.put(gradient)

    def ball(self, generator: torch.Generator) -> Tensors:
        """Return a vector uniform in the ball of radius r."""
        (drawn,) = standard_normal(self.parameters, generator)
        size = sum(p.numel() for p in self.parameters)
        share = float(torch.rand((), generator=generator, dtype=torch.float64)) ** (1 / size)
        return torch._foreach_mul(drawn, self.radius * share / norm(drawn))
