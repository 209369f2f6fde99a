"""Focal-SAM: the sharpness of a class counts the more, the rarer it is."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from checkpoints.recipes.recipe import Recipe
from checkpoints.training.steps.directions import ascent, plus
from checkpoints.training.steps.interface import AscentRule, Batch, trainable
from spectra.objective.network.perturbed import perturbed


class FocalSAM(AscentRule):
    """∇[L + λ (L^γ(w + ε) - L^γ(w))] with L^γ = Σ (1-π_y)^γ terms and ε = ρ ∇L^γ/‖∇L^γ‖.

    The sharpness of a class counts the more, the rarer it is. λ = 1 and γ = 0 are SAM.

    Args:
        parameters: see :class:`AscentRule`.
        rho: radius.
        factor: λ.
        class_weights: (1-π_c)^γ, shape (C,).

    Source: Li et al., ICML 2025; this form of the objective is our reading.
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, rho: float, factor: float, class_weights: Tensor
    ) -> None:
        super().__init__(parameters, rho=rho)
        self.factor, self.class_weights = factor, class_weights

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with ρ, λ and the weights of the classes."""
        counts = torch.tensor(class_counts, dtype=torch.float64)
        weights = (1 - counts / counts.sum()) ** recipe.focal_sam_gamma
        return cls(
            trainable(model),
            rho=recipe.rho,
            factor=recipe.focal_sam_factor,
            class_weights=weights,
        )

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """Two passes."""
        terms = batch.terms()
        self.class_weights = self.class_weights.to(terms)  # copied at the first batch alone
        focal = self.class_weights[batch.labels]
        plain = self.gradient(terms.sum(), keep=True)
        at_w = self.gradient((focal * terms).sum())
        with perturbed(self.parameters, ascent(at_w, self.rho)):
            above = self.gradient((focal * batch.terms()).sum())
        self.put(plus(plus(plain, above, self.factor), at_w, -self.factor))
