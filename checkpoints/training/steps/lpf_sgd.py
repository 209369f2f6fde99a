"""LPF-SGD: descent on a loss that is smoothed by noise in the weights."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from checkpoints.models.heads import CosineHead
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.steps.directions import Tensors, plus, standard_normal
from checkpoints.training.steps.interface import Batch, StepRule, trainable
from spectra.objective.network.perturbed import perturbed


class LowPassSGD(StepRule):
    """The gradient at w + n, averaged over draws: SGD on a smoothed loss.

    n is normal with standard deviation γ‖w_f‖ for each output filter f of a tensor of more than one
    dimension, and γ‖w‖ for a vector or a number.

    Args:
        parameters: see :class:`StepRule`.
        gamma: γ.
        draws: M.
        by_column: for each parameter, whether its output filters are its columns; None: of none.

    Source: Bisla et al., AISTATS 2022.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        gamma: float,
        draws: int,
        by_column: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(parameters)
        self.gamma, self.draws = gamma, draws
        self.by_column = by_column or [False] * len(self.parameters)

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with γ, M and the filters of the network."""
        heads = [module.weight for module in model.modules() if isinstance(module, CosineHead)]
        parameters = trainable(model)
        columns = [any(p is weight for weight in heads) for p in parameters]
        return cls(parameters, gamma=recipe.lpf_gamma, draws=recipe.lpf_draws, by_column=columns)

    def noise(self, generator: torch.Generator) -> list[Tensors]:
        """Return the M draws of n."""
        scales = torch._foreach_mul(self._sizes(), self.gamma)
        drawn = standard_normal(self.parameters, generator, self.draws)
        return [torch._foreach_mul(scales, d) for d in drawn]

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """M passes, none of them at w: what is reported of the batch is of the first draw."""
        total: Tensors = []
        for n in self.noise(generator):
            with perturbed(self.parameters, n):
                share = torch._foreach_mul(self.gradient(batch.terms().sum()), 1 / self.draws)
            total = plus(total, share) if total else share
        self.put(total)

    def _sizes(self) -> list[Tensor]:
        """Return what n is relative to: one number a filter of a tensor, or one in all."""
        weights = [p.detach() for p in self.parameters]
        whole = [w for w in weights if w.ndim < 2]
        norms = iter(torch._foreach_norm(whole) if whole else ())
        found = []
        for w, columns in zip(weights, self.by_column, strict=True):
            over = [0] if columns else list(range(1, w.ndim))
            found.append(
                next(norms) if w.ndim < 2 else torch.linalg.vector_norm(w, dim=over, keepdim=True)
            )
        return found
