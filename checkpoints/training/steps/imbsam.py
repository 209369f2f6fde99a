"""ImbSAM: SAM for the rare classes alone."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from checkpoints.recipes.recipe import Recipe
from checkpoints.training.steps.directions import ascent, plus
from checkpoints.training.steps.interface import AscentRule, Batch, trainable
from spectra.errors import InputError
from spectra.objective.network.perturbed import perturbed


class ImbSAM(AscentRule):
    """∇L_head(w) + ∇L_tail(w + ρ ∇L_tail/‖∇L_tail‖): SAM for the rare classes alone.

    Args:
        parameters: see :class:`AscentRule`.
        rho: radius.
        tail: whether a class counts as tail (n_c < η), bool (C,).

    Source: Zhou et al., ICCV 2023.
    """

    def __init__(self, parameters: Sequence[Tensor], *, rho: float, tail: Tensor) -> None:
        super().__init__(parameters, rho=rho)
        self.tail = tail
        self._ranks = tail.to(torch.uint8)  # on the device of the labels, once there were any

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with ρ and the classes that count as tail."""
        counts = torch.tensor(class_counts, dtype=torch.float64)
        tail = _tail_classes(counts, recipe.tail_below)
        return cls(trainable(model), rho=recipe.rho, tail=tail)

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """Two passes; one where the batch holds no tail image."""
        terms = batch.terms()
        if not self.tail[batch.labels_of_whole].any():
            self.put(self.gradient(terms.sum()))
            return
        rare = int(self.tail[batch.host_labels].sum())
        self._ranks = self._ranks.to(batch.labels.device)
        tail_last = self._ranks[batch.labels].argsort(stable=True)
        of_head, of_tail = tail_last.split([len(tail_last) - rare, rare])
        head = self.gradient(terms[of_head].sum(), keep=True)
        with perturbed(self.parameters, ascent(self.gradient(terms[of_tail].sum()), self.rho)):
            tail = self.gradient(batch.terms()[of_tail].sum())
        self.put(plus(head, tail))


def _tail_classes(counts: Tensor, below: float) -> Tensor:
    """Return whether each class is ImbSAM's tail: n_c < ``below``; 0: n_c among the lowest third.

    Raises:
        InputError: that is no class, or every class.
    """
    third = counts.sort().values[max(1, len(counts) // 3) - 1]
    tail = counts < below if below else counts <= third
    if tail.any() and not tail.all():
        return tail
    which = "every class" if tail.any() else "no class"
    limit = f"below {below:g}" if below else f"of at most {third:g}"
    raise InputError(
        f"ImbSAM needs classes that are tail and others that are not; {which} has a size {limit}; "
        f"set tail_below between {counts.min():g} and {counts.max():g}, or take plain SAM"
    )
