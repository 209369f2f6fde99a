"""What a SAM step does to the gradient along a direction of curvature: measured and predicted.

On one function, SAM's gradient along an eigenvector v of curvature λ is, to first order in ρ,
(1 + ρλ/‖g‖) ⟨g, v⟩: where λ < 0 it shrinks until ρ|λ| > 2‖g‖. The theorem that SAM escapes saddles
has (1 + ρλ)² instead, for an ascent step of ρg that is not normalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

from spectra.errors import InputError
from spectra.krylov.quadrature.intervals import LEVEL, Interval
from spectra.krylov.tridiagonal import FloatArray
from spectra.objective.frozen_loss import FrozenLoss
from spectra.objective.network.as_found import parameters_replaced
from spectra.objective.short_memory import with_smaller_chunks
from spectra.operators.hessian import HessianOperator
from spectra.system.exact import exact_products
from spectra.system.quiet import quiet

RESAMPLES = 2000


def sam_gradient(op: FrozenLoss, rho: float, gradient: Tensor | None = None) -> Tensor:
    """Return ∇L(w + ρ g/‖g‖), shape (P,), float64.

    Args:
        op: the loss.
        rho: ρ, parameter units.
        gradient: g, where it is known.
    """
    g = op.gradient() if gradient is None else gradient
    with op.moved(rho * g / (g.norm() + 1e-12)):
        return op.gradient()


@dataclass(frozen=True)
class ClassFactor:
    """SAM's factor on ⟨g, v⟩ for one loss, its own gradient and eigenvector.

    Attributes:
        rho: ρ.
        measured: ⟨g_SAM, v⟩ / ⟨g, v⟩; None where ⟨g, v⟩ is 0.
        predicted: 1 + ρλ/‖g‖.
        unnormalised: 1 + ρλ, for an ascent step of ρg.
        undetermined: |⟨g, v⟩| is below its standard error over the images.
    """

    rho: float
    measured: float | None
    predicted: float
    unnormalised: float
    undetermined: bool


def class_factors(
    op: HessianOperator,
    vector: Tensor,
    value: float,
    rhos: Sequence[float],
    *,
    gradient: Tensor | None = None,
) -> list[ClassFactor]:
    """Return measured and predicted factors for a range of ρ.

    Cost: one gradient for each ρ.

    Args:
        op: the Hessian of the loss.
        vector: v, shape (P,), of length 1.
        value: λ = vᵀHv.
        rhos: radii.
        gradient: g, where it is known.

    Source: the expansion of Foret et al. 2021, eq. 2; unnormalised: Rangwani et al. 2022.
    """
    _check_radii(rhos)
    v = vector.to(op.device, torch.float64)
    g = op.gradient() if gradient is None else gradient.to(op.device)
    along, size = float(g @ v), float(g.norm())
    single = slopes(op, vector)
    weights = op.weights.double() / op.total_weight
    error = float(((weights * (single - along)) ** 2).sum() ** 0.5)
    return [
        ClassFactor(
            rho=rho,
            measured=float(sam_gradient(op, rho, g) @ v) / along if along else None,
            predicted=1 + rho * value / size if size else float("inf"),
            unnormalised=1 + rho * value,
            undetermined=abs(along) <= error,
        )
        for rho in rhos
    ]


@dataclass(frozen=True)
class Amplification:
    """E⟨g_SAM, v⟩² / E⟨g, v⟩² over mini-batches.

    Attributes:
        rho: ρ.
        measured: with its 95 % bootstrap interval over the batches.
        predicted: with its interval, of ⟨v, g_B⟩ + ρ⟨v, H_B g_B⟩/‖g_B‖ in place of ⟨v, g_SAM⟩.
        theorem: (1 + ρλ)², for an ascent step that is not normalised.
        undetermined: the mean of ⟨g_B, v⟩ is below its standard error: what is amplified is noise.
    """

    rho: float
    measured: Interval
    predicted: Interval
    theorem: float
    undetermined: bool


@dataclass(frozen=True)
class BatchProjections:
    """What mini-batch gradients are along v.

    Attributes:
        plain: ⟨g_B, v⟩, shape (B,).
        sam: ⟨g_SAM, v⟩ for each ρ, shape (R, B).
        predicted: to first order in ρ, shape (R, B).
        rhos: ρ, length R.
    """

    plain: FloatArray
    sam: FloatArray
    predicted: FloatArray
    rhos: tuple[float, ...]

    @property
    def correlated_noise(self) -> float:
        """E⟨g_B, v⟩²: what the assumption CNC wants bounded from below by γ > 0."""
        return float((self.plain**2).mean())


def batch_projections(
    op: HessianOperator,
    vector: Tensor,
    batches: Sequence[Tensor],
    rhos: Sequence[float],
) -> BatchProjections:
    """Take gradients and SAM's gradients of mini-batches along v.

    Cost: for each batch a gradient, a product, and a gradient for each ρ.

    Args:
        op: over the images that batches are drawn from; its weights count within a batch.
        vector: v, shape (P,), of length 1.
        batches: positions of images; several may not all be of the same ones.
        rhos: radii.

    Raises:
        InputError: a ρ is not positive, or all batches are the same, which have no spread.
    """
    _check_radii(rhos)
    if len(batches) > 1 and len({tuple(sorted(index.tolist())) for index in batches}) == 1:
        raise InputError(
            f"batches must differ, got {len(batches)} times the same {len(batches[0])} images; "
            "take fewer images a batch"
        )
    v = vector.to(op.device, torch.float64)
    plain, sam, predicted = [], [], []
    for index in batches:
        part = op.over_images(index)
        part = part.with_weights(part.weights)  # a mean over the batch
        g = part.gradient()
        size = float(g.norm()) + 1e-12
        bend = float(v @ part.matvec(g.to(op.dtype)).double())
        part.forget()
        plain.append(float(v @ g))
        sam.append([float(v @ sam_gradient(part, rho, g)) for rho in rhos])
        predicted.append([plain[-1] + rho * bend / size for rho in rhos])
    return BatchProjections(
        np.array(plain), np.array(sam).T, np.array(predicted).T, tuple(float(r) for r in rhos)
    )


def amplifications(
    found: BatchProjections, value: float, *, generator: torch.Generator
) -> list[Amplification]:
    """Return the amplification for each ρ, with bootstrap intervals over the batches.

    Args:
        found: at least 2 batches.
        value: λ.
        generator: of the resampling.
    """
    n = len(found.plain)
    if n < 2:
        raise InputError(f"intervals over batches need at least 2 of them, got {n}")
    draws = torch.randint(n, (RESAMPLES, n), generator=generator).numpy()
    error = float(found.plain.std(ddof=1) / n**0.5)
    undetermined = abs(float(found.plain.mean())) <= error

    def ratio(projections: FloatArray) -> Interval:
        above, below = projections**2, found.plain**2
        resampled = above[draws].mean(1) / below[draws].mean(1)
        low, high = np.quantile(resampled, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
        return Interval(float(low), float(above.mean() / below.mean()), float(high), LEVEL)

    return [
        Amplification(rho, ratio(sam), ratio(predicted), (1 + rho * value) ** 2, undetermined)
        for rho, sam, predicted in zip(found.rhos, found.sam, found.predicted, strict=True)
    ]


@with_smaller_chunks
def slopes(op: HessianOperator, vector: Tensor) -> Tensor:
    """Return ⟨∇ℓ_i, v⟩, without the weights w_i, for each image, shape (n,), float64.

    Cost: two forward passes.
    """
    found = []
    for chunk, outputs, tangent in _outputs_along(op, vector):
        slope = _slope(op, outputs.requires_grad_(), chunk)
        found.append(_of_images(slope * tangent, chunk).sum(1).double())
    return torch.cat(found)


@with_smaller_chunks
def gauss_newton_form(op: HessianOperator, vector: Tensor) -> float:
    """Return vᵀGv, the part of vᵀHv that comes from how the loss bends; it is >= 0 for CE.

    G = Σ w_i J_iᵀ ∇²ℓ_i J_i / Σ w_i over the network's outputs; vᵀHv - vᵀGv is what the bending of
    the network itself adds.

    Cost: two forward passes.

    Source: Schraudolph 2002.
    """
    total = 0.0
    for chunk, outputs, tangent in _outputs_along(op, vector):
        slope = _slope(op, outputs.requires_grad_(), chunk, create_graph=True)
        (bent,) = torch.autograd.grad((slope * tangent).sum(), outputs, materialize_grads=True)
        single = _of_images(bent * tangent, chunk).sum(1).double()
        total += float((op.weights[chunk].double() * single).sum())
    return total / op.total_weight


def _outputs_along(op: HessianOperator, vector: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield each chunk with its outputs and their tangent along ``vector``, on each rank all."""
    point = {n: p.detach() for n, p in zip(op.names, op.parameters, strict=True)}
    direction = op.named(vector.to(op.device, op.dtype))
    for chunk in op.on_this_rank().chunks():
        with torch.no_grad(), exact_products(op.device), quiet():
            pair: Any = jvp(lambda moved, c=chunk: _outputs(op, moved, c), (point,), (direction,))
        yield chunk, pair[0].detach(), pair[1].detach()
    op.count.forwards += 2 * op.num_images


def _outputs(op: HessianOperator, trained: dict[str, Tensor], chunk: slice) -> Tensor:
    with parameters_replaced(op.model, trained):
        outputs: Tensor = op.model(op.images[chunk])
    return outputs


def _of_images(values: Tensor, chunk: slice) -> Tensor:
    """Return numbers at the outputs as one row an image, also where outputs are (n,)."""
    return values.reshape(chunk.stop - chunk.start, -1)


def _slope(
    op: HessianOperator, outputs: Tensor, chunk: slice, *, create_graph: bool = False
) -> Tensor:
    losses = op.sample_losses(outputs, op.labels[chunk])
    return torch.autograd.grad(losses.sum(), outputs, create_graph=create_graph)[0]


def _check_radii(rhos: Sequence[float]) -> None:
    if not rhos or not all(rho > 0 and np.isfinite(rho) for rho in rhos):
        raise InputError(f"rho must be positive, got {list(rhos)}")
