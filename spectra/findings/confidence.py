"""Intervals for curvatures from their images."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError, UnderflowError
from spectra.krylov.quadrature.intervals import LEVEL, Interval, check_level
from spectra.krylov.tridiagonal import FloatArray


@dataclass(frozen=True)
class ImageBootstrap:
    """What the extremes would be for other images of the same class.

    Attributes:
        smallest: of λmin, loss / parameter².
        largest: of λmax.
        ratio: of |λmin / λmax|.
    """

    smallest: Interval
    largest: Interval
    ratio: Interval


def image_bootstrap(
    curvatures_min: Tensor,
    curvatures_max: Tensor,
    weights: Tensor | None = None,
    *,
    replicates: int = 1000,
    generator: torch.Generator,
    level: float = LEVEL,
) -> ImageBootstrap:
    """Return percentile intervals of λmin, λmax and their ratio over other draws of the images.

    To first order an eigenvalue of a mean over images is the mean of the curvatures yᵀH_i y along
    its eigenvector y, which is held fixed; images are drawn with replacement, each with its weight,
    and Σ w_i yᵀH_i y / Σ w_i is taken of what was drawn. For a small class.
    Second order is left out: the eigenvectors of other images differ, and their λmin lies lower and
    λmax higher than these means.

    Args:
        curvatures_min: yᵀH_i y along y of λmin, shape (n,), n >= 2, without w_i.
        curvatures_max: yᵀH_i y along y of λmax, for the same images, shape (n,).
        weights: w_i >= 0, shape (n,); None: equal.
        replicates: draws; ours: 1000 puts some 25 beyond each end of a 95 % interval.
        generator: explicit source of randomness, on the CPU.
        level: of coverage, 0 < level < 1.

    Raises:
        InputError: shapes differ, or a number is out of range.
        NonFiniteError: a curvature is NaN or infinite.
        UnderflowError: no image has curvature along y of λmax.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Example:
        >>> low, high = torch.tensor([-2.0, -1.0, -3.0]), torch.tensor([9.0, 8.0, 10.0])
        >>> found = spectra.image_bootstrap(low, high, generator=spectra.make_generator(0))
        >>> found.smallest.estimate, found.smallest.lower < -2 < found.smallest.upper
        (-2.0, True)
    """
    shapes = tuple(curvatures_min.shape), tuple(curvatures_max.shape)
    if len(shapes[0]) != 1 or shapes[0] != shapes[1] or shapes[0][0] < 2:
        raise InputError(f"curvatures must both have shape (n,), n >= 2, got {shapes}")
    w = torch.ones(shapes[0]) if weights is None else weights.detach().cpu()
    if w.shape != shapes[0] or not (w >= 0).all() or not w.sum() > 0:
        raise InputError(f"weights must have shape {shapes[0]}, be >= 0 and not all 0, got {w}")
    if replicates < 2:
        raise InputError(f"replicates must be at least 2, got {replicates}")
    check_level(level)
    q = torch.stack([curvatures_min, curvatures_max]).detach().double().cpu()
    if not torch.isfinite(q).all():
        raise NonFiniteError(
            "the curvature of an image along an extreme eigenvector is NaN or infinite: weights, "
            "or batch norms divided by variances near 0, make losses too large for it"
        )
    n, w = q.shape[1], w.double()
    draws = torch.randint(0, n, (replicates, n), generator=generator)
    drawn = w[draws].sum(1)  # 0 where only images without weight were drawn: those say nothing
    draws, drawn = draws[drawn > 0], drawn[drawn > 0]
    low, high = (np.asarray((w * row)[draws].sum(1) / drawn) for row in q)
    mean = ((w * q).sum(1) / w.sum()).tolist()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(low / high)
    # Draws of images without any curvature along y of λmax have no ratio, and say nothing of it.
    ratios = ratios[np.isfinite(ratios)]
    if not mean[1] or not len(ratios):
        raise UnderflowError(
            "no image has curvature along the eigenvector of λmax: the losses are constant to the "
            "last digit, as where weights, or batch norms over variances near 0, are too large"
        )
    found = abs(mean[0] / mean[1])

    def interval(estimate: float, values: FloatArray) -> Interval:
        ends = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(ends[0]), estimate, float(ends[1]), level)

    return ImageBootstrap(interval(mean[0], low), interval(mean[1], high), interval(found, ratios))
