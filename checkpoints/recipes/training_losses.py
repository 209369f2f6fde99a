"""Training losses, as per-sample losses of a network's outputs.

Every loss maps outputs (n, C) and labels (n,) to (n,) values, so that the same object serves
training, where a weighted mean is taken, and a Hessian of any subset of images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.recipes.constants import constant
from checkpoints.recipes.recipe import Recipe
from spectra.objective.per_sample import CrossEntropy, PerSampleLoss, cross_entropy

# Ours: 1 - p_y under which focal loss no longer lessens its weight.
_FITTED = 1e-20


@dataclass(frozen=True)
class LDAM:
    """CE(s (x - m_y 1_y)) with margins m_c = m_max n_c^(-1/4) / max_k n_k^(-1/4).

    Attributes:
        class_counts: n_c.
        max_margin: margin of the smallest class (paper: .5).
        scale: s (code: 30); the outputs are cosines.

    Source: Cao et al., NeurIPS 2019, eq. 13 and their code.
    """

    class_counts: tuple[int, ...]
    max_margin: float = 0.5
    scale: float = 30.0

    def margins(self) -> Tensor:
        """Return m_c, shape (C,), float64."""
        return _margins(self.class_counts, self.max_margin)

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        by_label = constant(_margin_rows)(
            self.class_counts, self.max_margin, outputs.device, outputs.dtype
        )
        shifted = outputs - by_label[labels]
        return cross_entropy(self.scale * shifted, labels)


@dataclass(frozen=True)
class VectorScaling:
    """CE(x_c / Δ_c + τ log π_c) with Δ_c = (n_max / n_c)^γ and class frequencies π_c.

    Source: Kini et al., NeurIPS 2021 (VS loss). γ = 0 is logit adjustment (Menon et al. 2021).
    """

    class_counts: tuple[int, ...]
    gamma: float
    tau: float
    scale: float = 1.0

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        delta, prior = constant(_adjustments)(
            self.class_counts, self.gamma, self.tau, outputs.device, outputs.dtype
        )
        adjusted = self.scale * outputs / delta + prior
        return cross_entropy(adjusted, labels)


@dataclass(frozen=True)
class Focal:
    """(1 - p_y)^γ times the cross-entropy.

    Source: Lin et al., ICCV 2017, without their α.
    """

    gamma: float
    scale: float = 1.0

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        losses = cross_entropy(self.scale * outputs, labels)
        # 1 - p_y = 1 - exp(-CE), exact where p_y is near 1; away from 0, where a power of it has no
        # derivative.
        return (-torch.expm1(-losses)).clamp(min=_FITTED) ** self.gamma * losses


def _margins(class_counts: tuple[int, ...], max_margin: float) -> Tensor:
    inverse = torch.tensor(class_counts, dtype=torch.float64) ** -0.25
    return inverse * (max_margin / inverse.max())


def _margin_rows(
    class_counts: tuple[int, ...], max_margin: float, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return m_y at y, and 0 elsewhere, in row y, shape (C, C)."""
    return _margins(class_counts, max_margin).to(device, dtype).diag()


def _adjustments(
    class_counts: tuple[int, ...],
    gamma: float,
    tau: float,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return Δ_c and τ log π_c, each of shape (C,)."""
    counts = torch.tensor(class_counts, dtype=torch.float64)
    delta = (counts.max() / counts) ** gamma
    prior = tau * torch.log(counts / counts.sum())
    placed_delta, placed_prior = torch.stack([delta, prior]).to(device, dtype)
    return placed_delta, placed_prior


# By the recipe's name for them; what each is made of: recipe, class counts, factor of the outputs.
_LOSSES: dict[str, Callable[[Recipe, tuple[int, ...], float], PerSampleLoss]] = {
    "ce": lambda _, counts, scale: CrossEntropy(scale),
    "ldam": lambda r, counts, scale: LDAM(counts, r.ldam_max_margin, scale),
    "vs": lambda r, counts, scale: VectorScaling(counts, r.vs_gamma, r.vs_tau, scale),
    "la": lambda r, counts, scale: VectorScaling(counts, 0.0, r.vs_tau, scale),
    "focal": lambda r, counts, scale: Focal(r.focal_gamma, scale),
}


def training_loss(recipe: Recipe, class_counts: tuple[int, ...]) -> PerSampleLoss:
    """Return the per-sample loss that ``recipe`` minimises, class weights aside."""
    return _LOSSES[recipe.loss](recipe, class_counts, output_scale(recipe))


def output_scale(recipe: Recipe) -> float:
    """Return the factor that turns a network's outputs into logits: s for a cosine head, else 1."""
    return recipe.logit_scale if recipe.head == "cosine" else 1.0
