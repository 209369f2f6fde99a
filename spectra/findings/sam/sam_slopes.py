"""The slopes along v_min that SAM's effect on a loss is told from, measured at each ρ."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.findings.sam.sam_effect import SamEffect
from spectra.findings.sam.slope_change import slope_change
from spectra.findings.sharpness import Amplification, BatchProjections, slopes
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.hessian import HessianOperator


def sam_effects(
    op: HessianOperator,
    vector: Tensor,
    value: float,
    rhos: Sequence[float],
    *,
    label: str,
    residual: float | None = None,
    views: int = 1,
    gradient: Tensor | None = None,
) -> tuple[SamEffect, ...]:
    """Return what SAM does to the step along v at each ρ, by the loss's own gradient.

    Cost: a gradient and two forward passes for each ρ, and as much once.

    Args:
        op: the Hessian of the loss.
        vector: v, shape (P,), of length 1.
        value: λ = vᵀHv.
        rhos: radii, > 0.
        label: of the loss.
        residual: ‖Hv − λv‖, where it is known.
        views: images beside each other that are views of one, and count as one draw.
        gradient: g, where it is known.

    Raises:
        InputError: a ρ is not positive and finite.

    Source: Foret et al. 2021 for SAM's step.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> H = spectra.class_hessian(net, torch.randn(30, 4), [0, 1] * 15, 1)
        >>> low = spectra.extreme_eigenpairs(H).smallest
        >>> (found,) = spectra.sam_effects(H, low.vector, low.value, [0.1], label="1")
        >>> found.own.draws, found.predicted < 1
        (15, True)
    """
    if not rhos or not all(rho > 0 and np.isfinite(rho) for rho in rhos):
        raise InputError(f"rho must be positive, got {list(rhos)}")
    g = (op.gradient() if gradient is None else gradient).to(op.device, torch.float64)
    v = vector.to(op.device, torch.float64)
    size = float(g.norm())
    weights = op.weights.double().cpu().numpy().reshape(-1, views).sum(1)
    plain = _draws(op, v, float(g @ v), views)
    found = []
    for rho in rhos:
        with op.moved(rho * g / (size + 1e-12)):
            after = op.gradient()
            sam = _draws(op, v, float(after @ v), views)
        found.append(
            SamEffect(
                label=label,
                rho=float(rho),
                curvature=value,
                grad_norm=size,
                predicted=1 + rho * value / size if size else None,
                own=slope_change(plain, sam, weights=weights),
                residual=residual,
                growth=float(after.norm()) / size if size else None,
            )
        )
    return tuple(found)


def with_batches(
    effects: Sequence[SamEffect],
    found: BatchProjections,
    squares: Sequence[Amplification],
    *,
    batch_size: int,
) -> tuple[SamEffect, ...]:
    """Return effects with what mini-batches say beside them, in the order of their radii.

    Args:
        effects: of a loss, one for each ρ of ``found``.
        found: slopes of the batches along its v.
        squares: what becomes of their mean square.
        batch_size: images of a batch.
    """
    rows = zip(effects, found.sam, squares, strict=True)
    return tuple(
        replace(
            effect,
            batches=slope_change(found.plain, sam),
            squares=square,
            batch_size=batch_size,
        )
        for effect, sam, square in rows
    )


def _draws(op: HessianOperator, v: Tensor, mean: float, views: int) -> FloatArray:
    """Return the slope of each image along v, views averaged, so that their mean is ``mean``.

    What a loss has beside its images, such as weight decay, is a part of every draw.
    """
    single = slopes(op, v)
    weights = op.weights.double() / op.total_weight
    single = single + (mean - float(single @ weights))
    grouped = (single * weights).reshape(-1, views).sum(1)
    shares = weights.reshape(-1, views).sum(1)
    # An image without weight says nothing; its slope is not 0 / 0 either.
    return (grouped / shares.clamp(min=1e-300)).cpu().numpy()
