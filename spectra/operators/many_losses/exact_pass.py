"""What judging the ends of a small loss asks of float64, from one pass over its images."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectra.operators.chunked import ChunkedOperator
from spectra.system.exact import exact_products


@dataclass(frozen=True)
class ExactPass:
    """Second derivatives along some vectors, by image, and the gradient.

    Attributes:
        values: vᵀHv of each vector, (K,), float64.
        sizes: sums of the sizes of their terms, which rounding is measured against, (K,).
        curvatures: vᵀ∇²ℓ_i v without w_i, (K, n); None where a weight is 0.
        gradient: of the loss, (P,), float64.
        gradient_size: its length if nothing cancelled between chunks.
    """

    values: Tensor
    sizes: Tensor
    curvatures: Tensor | None = field(repr=False)
    gradient: Tensor = field(repr=False)
    gradient_size: float = 0.0


def exact_pass(op: ChunkedOperator, vectors: Tensor) -> ExactPass | None:
    """Return what one pass says of vectors (K, P); None where ``op`` does not tell images apart.

    Cost: 3 forward passes, and 4 for each vector.

    Args:
        op: in float64, of one process alone.
        vectors: shape (K, P).
    """
    products = op._products
    if not products.tells_images_apart:
        return None
    op.check_point()
    directions = [products.direction(v) for v in vectors.to(op.device, op.dtype)]
    gradient = torch.zeros(op.size, dtype=torch.float64, device=op.device)
    of_images, lengths = [], []
    with exact_products(op.device):
        for chunk in op.chunks():
            weights = op.weights[chunk]
            made = products.linearise(op.images[chunk], op.labels[chunk], weights)
            apart = len(weights) > 1
            along = [made.second_derivatives(d, by_image=apart) for d in directions]
            of_images.append(torch.stack(along, 1))  # (2, K, images)
            slope = made.gradient()
            gradient += slope
            lengths.append(slope.double().norm())
    found = torch.cat(of_images, 2)
    op.count.add_second_derivatives(len(vectors) * op.num_images, beside_float32=op._beside_float32)
    op.count_passes(2)
    values, sizes = found.sum(2) / op.total_weight
    decayed = op.decay * vectors.to(values).square().sum(1)
    gradient /= op.total_weight
    size = sum(torch.stack(lengths).tolist()) / op.total_weight
    if op.decay:
        w = op._parameter_vector()
        gradient = op._decayed(gradient, w)
        size += op.decay * float(w.norm())
    whole = bool((op.weights > 0).all())
    curvatures = found[0] / op.weights.double() if whole else None
    return ExactPass(values + decayed, sizes + decayed, curvatures, gradient, size)
