"""SAM and ASAM: the gradient at a point uphill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor, nn

from checkpoints.recipes.recipe import Recipe
from checkpoints.training.parallel.gradients import sum_stored
from checkpoints.training.steps.directions import Tensors, ascent, plus
from checkpoints.training.steps.interface import AscentRule, Batch
from spectra.objective.network.perturbed import perturbed


class SAM(AscentRule):
    """∇L(w + ε) with ε = ρ g / ‖g‖ for the gradient g at w, the norm over all parameters.

    Weight decay takes no part in the ascent; it acts where the optimizer applies it, at w.

    With several ``shards`` it is their m-SAM: Σ_s ∇L_s(w + ε_s), where L_s holds the terms of the
    s-th part of the batch and ε_s = ρ g_s / ‖g_s‖ is of its gradient alone.

    Args:
        parameters: what is perturbed: all of the model's parameters.
        rho: radius in parameter units.
        model: whose batch-norm statistics the pass at w + ε is to leave alone; None: of no model.
        shards: parts of a batch that climb each on its own; over ranks, a multiple of their number.

    Source: Foret et al., ICLR 2021; parts: section 4.1, m-sharpness, m images a part.
    """

    plain = True

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        rho: float,
        model: nn.Module | None = None,
        shards: int = 1,
    ) -> None:
        super().__init__(parameters, rho=rho)
        self.model, self.shards = model, shards

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with ρ and the choice of batch norm's passes."""
        return cls(
            list(model.parameters()),
            rho=recipe.rho,
            model=_kept_from(recipe, model),
            shards=recipe.sam_shards,
        )

    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """Two passes; of each part, where a batch has several."""
        if self.shards > 1:
            self._fill_by_parts(batch)
        else:
            batch.mean().backward()
            sum_stored(self.parameters, self.world)
            self._descend_from_above(batch)
        sum_stored(self.parameters, self.world)

    def _fill_by_parts(self, batch: Batch) -> None:
        """Fill ``.grad`` with the sum over this rank's parts, each at a point uphill of its own."""
        parts = batch.parts(self.shards)
        total: Tensors = []
        for part in parts:
            for p in self.parameters:
                p.grad = None
            part.mean().backward()
            self._descend_from_above(part)
            found = self._stored()
            total = plus(total, found) if total else found
        losses, hits = zip(*(part.seen for part in parts), strict=True)
        batch.see(torch.stack(losses).sum(), torch.stack(hits).sum())
        for p, g in zip(self.parameters, total, strict=True):
            p.grad = None if p.grad is None else g  # what no part has used stays without

    def _descend_from_above(self, batch: Batch) -> None:
        """Replace the gradient at w that is in ``.grad`` by that at w + ε."""
        with perturbed(self.parameters, self.ascent()), frozen_batch_norm(self.model):
            for p in self.parameters:
                p.grad = None
            batch.mean().backward()

    @torch.no_grad()
    def ascent(self) -> Tensors:
        """Return ε for the gradients now stored in ``.grad``; zeros where there is none."""
        return ascent(self._stored(), self.rho, self.scales())

    def _stored(self) -> Tensors:
        return [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]

    def scales(self) -> Tensors | None:
        """Return what the ascent is scaled by: nothing."""
        return None


class ASAM(SAM):
    """SAM with ε = ρ T² g / ‖T g‖, T = |w| + η: a radius relative to each weight.

    Args:
        parameters: see :class:`SAM`.
        rho: radius, relative.
        eta: η.
        model: see :class:`SAM`.
        shards: see :class:`SAM`.

    Source: Kwon et al., ICML 2021 (η on every parameter, ours: the paper does not say where).
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        rho: float,
        eta: float = 0.01,
        model: nn.Module | None = None,
        shards: int = 1,
    ) -> None:
        super().__init__(parameters, rho=rho, model=model, shards=shards)
        self.eta = eta

    @classmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with ρ, η and the choice of batch norm's passes."""
        return cls(
            list(model.parameters()),
            rho=recipe.rho,
            eta=recipe.asam_eta,
            model=_kept_from(recipe, model),
            shards=recipe.sam_shards,
        )

    def scales(self) -> Tensors:
        """Return T, one tensor a parameter."""
        scales = torch._foreach_abs(self.parameters)
        torch._foreach_add_(scales, self.eta)
        return scales


def _kept_from(recipe: Recipe, model: nn.Module) -> nn.Module | None:
    """Return the model whose batch norm the second pass leaves alone, if it does."""
    return model if recipe.sam_bn == "first" else None


@contextmanager
def frozen_batch_norm(model: nn.Module | None) -> Iterator[None]:
    """Let batch norm normalise by the batch but leave its running averages alone.

    Args:
        model: whose batch-norm layers are meant; None makes the context do nothing.
    """
    modules = [] if model is None else list(model.modules())
    layers = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    buffers = [b for layer in layers for b in layer.buffers()]
    # Averages are floats and counts integers; one operation takes tensors of one type.
    alike = [[b for b in buffers if b.dtype == dtype] for dtype in {b.dtype for b in buffers}]
    kept = [[torch.empty_like(b) for b in group] for group in alike]
    for copies, group in zip(kept, alike, strict=True):
        torch._foreach_copy_(copies, group)
    try:
        yield
    finally:
        for copies, group in zip(kept, alike, strict=True):
            torch._foreach_copy_(group, copies)
