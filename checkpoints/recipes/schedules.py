"""What changes with the epoch: learning rate, class weights, ρ."""

import math

import torch
from torch import Tensor

from checkpoints.recipes.recipe import Recipe
from spectra.results.provenance import drw_switch


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Return the learning rate of a 0-based epoch.

    ``step``: linear warm-up over min(5, E/40) epochs, x .01 from .8 E on and x .0001 from .9 E on
    (no second drop below E = 10), whenever DRW starts. ``cosine``: half a cosine from lr to 0, no
    warm-up.

    Source: the code of Rangwani et al. 2022, scaled from its 200 epochs.
    """
    epochs = recipe.epochs
    if recipe.lr_schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    warm_up = min(5.0, epochs / 40)
    if epochs >= 10 and epoch >= round(0.9 * epochs):
        return recipe.lr * 1e-4
    if epoch >= drw_switch(epochs):
        return recipe.lr * 1e-2
    return recipe.lr * min(1.0, (epoch + 1) / warm_up)


def ascent_radius(recipe: Recipe, epoch: int) -> float:
    """Return ρ of a 0-based epoch: that of the last step of its schedule that has begun."""
    rho = recipe.rho
    for start, value in recipe.rho_schedule:
        if epoch >= start * recipe.epochs - 1e-9:  # .07 * 100 is a little more than 7
            rho = value
    return rho


def class_weights(recipe: Recipe, class_counts: tuple[int, ...], epoch: int) -> Tensor:
    """Return w_c of a 0-based epoch, shape (C,), float64.

    All ones, or, where re-weighting is on, w_c ∝ (1-β)/(1-β^n_c) with sum C; a class without
    images gets 0.

    Source: Cui et al., CVPR 2019; deferred as in Cao et al., NeurIPS 2019.
    """
    counts = torch.tensor(class_counts, dtype=torch.float64)
    active = recipe.weighting == "reweight" or (
        recipe.weighting == "drw" and epoch >= recipe.drw_switch
    )
    if not active:
        return torch.ones_like(counts)
    weights = torch.where(
        counts > 0, (1 - recipe.cb_beta) / (1 - recipe.cb_beta ** counts.clamp(min=1)), 0.0
    )
    return weights * (len(counts) / weights.sum())


def sampling_probabilities(recipe: Recipe, labels: Tensor, class_counts: tuple[int, ...]) -> Tensor:
    """Return for each image its chance to be drawn, shape (N,), float64; sums to 1.

    Only used with ``resample``: classes are equally likely, and so are the images of a class.
    """
    counts = torch.tensor(class_counts, dtype=torch.float64)
    chance = 1.0 / counts[labels]
    return chance / chance.sum()
