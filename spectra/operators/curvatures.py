"""The curvature of each image's own loss along a direction."""

import torch
from torch import Tensor
from torch.func import jvp

from spectra.errors import SpectraError
from spectra.objective.counting import ImageCount
from spectra.objective.network.as_found import parameters_replaced
from spectra.objective.short_memory import with_smaller_chunks
from spectra.operators.chunked import ChunkedOperator
from spectra.products.choose import AGREEMENT
from spectra.system.allocator import out_of_memory
from spectra.system.exact import exact_products
from spectra.system.quiet import quiet

Named = dict[str, Tensor]

# Measured on ResNet-20 for CIFAR: a pass takes as long as this many forward passes.
FORWARDS = 13


def curvatures(op: ChunkedOperator, vectors: Tensor) -> Tensor:
    """Return q_i = vᵀ∇²ℓ_i v for each row v and image i, without the weights w_i.

    Their mean, weighted by w_i, is vᵀHv, but for the c vᵀv of weight decay, which is no image's. In
    forward mode where the network's operations have one and it agrees with products on the first
    image, else by products of one image each.

    Cost: for each vector 13 forward passes, else a product of each image.

    Args:
        op: whose images, loss and parameters.
        vectors: shape (K, P).

    Returns:
        shape (K, n), float64, computed in the operator's dtype.

    Raises:
        torch.OutOfMemoryError: memory was short, as any error of which
            :func:`spectra.system.allocator.out_of_memory` says so; products would only hide it.
    """
    op.check_vectors(vectors)
    vectors, own = vectors.to(op.device, op.dtype), op.own_images
    if op.world.size == 1:
        return _on_this_rank(op, vectors)
    found = torch.zeros((len(vectors), 0), dtype=torch.float64, device=op.device)
    counted = ImageCount()
    if own.start < own.stop:
        part = op.on_this_rank().over_images(torch.arange(own.start, own.stop))
        part.count = counted
        found = _on_this_rank(part, vectors)
    for each in op.world.gather(counted):
        op.count.add(each)
    return op._of_all(found)


@with_smaller_chunks
def _on_this_rank(op: ChunkedOperator, vectors: Tensor) -> Tensor:
    try:
        if _forward_mode_is_right(op, vectors[:1].double()):
            return by_forward_mode(op, vectors)
    except Exception as error:  # whatever a stranger's operations raise
        if out_of_memory(error) or isinstance(error, SpectraError):
            raise
    return by_products(op, vectors)


def _forward_mode_is_right(op: ChunkedOperator, vectors: Tensor) -> bool:
    """Say whether both ways agree on the first image in float64; torch's layer norm fails."""
    alone = _alone(op, 0).in_float64()
    found, wanted = by_forward_mode(alone, vectors), by_products(alone, vectors)
    # Relative to vᵀHv, which may be small beside its terms; where it is too small, products serve.
    return bool(((found - wanted).abs() <= AGREEMENT * wanted.abs()).all())


@torch.no_grad()
def by_forward_mode(op: ChunkedOperator, vectors: Tensor) -> Tensor:
    """Return q (K, n) as d²ℓ_i(w + t v)/dt², forward mode over forward mode.

    One chunk at a time: the level of forward mode is the process's, not the thread's.
    """
    point = {n: p.detach() for n, p in zip(op.names, op.parameters, strict=True)}
    with exact_products(op.device), quiet():
        rows = [
            torch.cat([_along(op, chunk, point, op.named(v)) for chunk in op.chunks()])
            for v in vectors
        ]
    op.count.forwards += FORWARDS * len(vectors) * op.num_images
    return torch.stack(rows).double()


def by_products(op: ChunkedOperator, vectors: Tensor) -> Tensor:
    """Return q (K, n) by products of one image each."""
    vectors = vectors.to(op.device, op.dtype)
    columns = [
        (vectors.double() * _alone(op, i).scaled_products(vectors)[0]).sum(1)
        for i in range(op.num_images)
    ]
    return torch.stack(columns, 1)


def _along(op: ChunkedOperator, chunk: slice, point: Named, direction: Named) -> Tensor:
    images, labels = op.images[chunk], op.labels[chunk]

    def losses(trained: Named) -> Tensor:
        with parameters_replaced(op.model, trained):
            return op.sample_losses(op.model(images), labels)

    def slopes(trained: Named) -> Tensor:
        return jvp(losses, (trained,), (direction,))[1]

    return jvp(slopes, (point,), (direction,))[1]


def _alone(op: ChunkedOperator, image: int) -> ChunkedOperator:
    """Return ∇²ℓ of one image, without its weight."""
    part = op.over_images(torch.tensor([image], device=op.device))
    return part.with_weights(torch.ones_like(part.weights)).with_weight_decay(0.0)
