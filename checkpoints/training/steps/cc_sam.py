"""CC-SAM: each class climbs by its own radius, in the classifier alone."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from checkpoints.models.heads import CosineHead
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.parallel.gradients import summed
from checkpoints.training.steps.directions import ascent
from checkpoints.training.steps.interface import AscentRule, Batch, trainable
from spectra.errors import InputError


class CCSAM(AscentRule):
    """Σ_c ∇L_c(w + ε_c), ε_c = ρ_c ∇_h L_c/‖∇_h L_c‖ on the classifier h alone.

    L_c holds the terms of class c in the batch. The features are the same for all classes, so one
    pass through the network serves.

    Args:
        parameters: see :class:`AscentRule`.
        model: its last linear or cosine layer is the classifier.
        rho: ρ.
        scales: ρ_c / ρ, shape (C,).

    Source: Zhou et al., CVPR 2023.
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, model: nn.Module, rho: float, scales: Sequence[float]
    ) -> None:
        super().__init__(parameters, rho=rho)
        heads = [m for m in model.modules() if isinstance(m, nn.Linear | CosineHead)]
        if not heads:
            raise InputError("cc-sam needs a linear or cosine classifier; this network has none")
        self.head, self.scales = heads[-1], list(scales)

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with ρ and the radius of each class."""
        counts = torch.tensor(class_counts, dtype=torch.float64)
        scales = ((counts.max() / counts) ** recipe.cc_power).tolist()
        return cls(trainable(model), model=model, rho=recipe.rho, scales=scales)

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """One pass, and one of the classifier for each class in the batch, on whatever rank."""
        features: list[Tensor] = []
        hook = self.head.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
        try:
            outputs = batch.forward(batch.images)
        finally:
            hook.remove()
        terms = batch.terms(outputs)
        names, weights = zip(*self.head.named_parameters(), strict=True)
        raised = torch.zeros_like(outputs)
        shown = features[0].to(outputs)  # of fewer bits under autocast
        classes = batch.labels_of_whole.unique()
        counts = (batch.host_labels == classes[:, None]).sum(1)
        by_class = batch.labels.argsort(stable=True).split(counts.tolist())
        for c, mine in zip(classes.tolist(), by_class, strict=True):
            slope = torch.autograd.grad(terms[mine].sum(), weights, retain_graph=True)
            step = ascent(summed(slope, self.world), self.rho * self.scales[c])
            there = {n: w + e for n, w, e in zip(names, weights, step, strict=True)}
            of_class = functional_call(self.head, there, (shown[mine],))
            raised = raised.index_put((mine,), of_class)
        self.put(self.gradient(batch.terms(raised).sum()))
