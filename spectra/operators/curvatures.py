"""The curvature of each image's own loss along a direction."""

import threading

import torch
from torch import Tensor
from torch.func import jvp

from spectra.errors import SpectraError
from spectra.objective.counting import ImageCount
from spectra.objective.network.as_found import parameters_replaced
from spectra.objective.short_memory import with_smaller_chunks
from spectra.operators.chunked import ChunkedOperator
from spectra.products import ChunkHessian
from spectra.products.choose import AGREEMENT
from spectra.system.allocator import out_of_memory
from spectra.system.exact import exact_products
from spectra.system.quiet import quiet
from spectra.system.seeding import make_generator

Named = dict[str, Tensor]

# Measured on ResNet-20 for CIFAR: a pass takes as long as this many forward passes.
FORWARDS = 13
# A level of forward mode is the process's: threads enter one after the other.
_FORWARD_MODE = threading.Lock()


def curvatures(op: ChunkedOperator, vectors: Tensor) -> Tensor:
    """Return q_i = vᵀ∇²ℓ_i v for each row v and image i, without the weights w_i.

    Their mean, weighted by w_i, is vᵀHv, but for the c vᵀv of weight decay, which is no image's. In
    forward mode where the network's operations have one and it agrees with products on the first
    image, else by products of one image each. Where the operator has its network in float64 beside
    it, as several threads have (:class:`spectra.operators.many_losses.same_network.Networks`), as
    :func:`by_second_derivatives`.

    Cost: for each vector 13 forward passes, else a product of each image; 4 passes by second
    derivatives.

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
    if op._products.derives_twice and op._products.tells_images_apart is not None:
        return by_second_derivatives(op, vectors)[0]
    if op.world.size == 1:
        return _on_this_rank(op, vectors)
    found = torch.zeros((len(vectors), 0), dtype=torch.float64, device=op.device)
    counted = ImageCount()
    if own.start < own.stop:
        part = op.on_this_rank().over_images(torch.arange(own.start, own.stop))
        part.count = counted
        # Begun again here where memory ends, not in a sum that others wait in.
        found = with_smaller_chunks(_on_this_rank)(part, vectors)
    for each in op.world.gather(counted):
        op.count.add(each)
    return op._of_all(found)


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
    with _FORWARD_MODE, exact_products(op.device), quiet():
        rows = [
            torch.cat([_along(op, chunk, point, op.named(v)) for chunk in op.chunks()])
            for v in vectors
        ]
    op.count.forwards += FORWARDS * len(vectors) * op.num_images
    return torch.stack(rows).double()


def by_second_derivatives(op: ChunkedOperator, vectors: Tensor) -> Tensor:
    """Return q (K, n) as second derivatives along v, and the sizes of their terms, (2, K, n).

    The images of a chunk go through a pass together where the network is known to tell them apart
    (:func:`images_are_told_apart`), else one by one.

    Args:
        op: of a network whose products are made by a tangent pass.
        vectors: shape (K, P).
    """
    products = op._products
    directions = [products.direction(v) for v in vectors.to(op.device, op.dtype)]

    def along_each(made: ChunkHessian, images: int) -> Tensor:
        each = [made.second_derivatives(d, by_image=images > 1) for d in directions]
        return torch.stack(each, 1)

    def work(chunk: slice) -> Tensor:
        weights = op.weights[chunk]
        if products.tells_images_apart and bool((weights == weights[0]).all() & (weights[0] > 0)):
            return along_each(op._linearised(chunk), len(weights)) / weights[0].double()
        size = op.micro_chunk if products.tells_images_apart else 1
        parts = [
            slice(start, min(start + size, chunk.start + len(weights)))
            for start in range(chunk.start, chunk.start + len(weights), size)
        ]
        found = [
            along_each(
                products.linearise(
                    op.images[part], op.labels[part], torch.ones_like(op.weights[part])
                ),
                part.stop - part.start,
            )
            for part in parts
        ]
        return torch.cat(found, 2)

    with exact_products(op.device):
        found = torch.cat([work(chunk) for chunk in op.chunks()], 2)
    images = len(vectors) * op.num_images
    op.count.add_second_derivatives(images, beside_float32=op._beside_float32)
    return found


def images_are_told_apart(op: ChunkedOperator) -> bool:
    """Say whether a tangent pass over several images gives the second derivatives of each.

    It does where every value has the images on its first axis and no parameter moves but those of
    folded layers. Three images of noise are compared with each by itself.

    Args:
        op: in float64, over at least one image.
    """
    products, images = op._products, op.images
    if not (isinstance(images, Tensor) and images.is_floating_point()):
        return False
    if not (products.derives_twice and products.moves_only_layers):
        return False
    rng = make_generator(0, "images told apart")
    noise = torch.randn(3, *images.shape[1:], generator=rng).to(images)
    labels, ones = op.labels[:1].repeat(3), torch.ones(3).to(op.weights)
    direction = products.direction(torch.randn(op.size, generator=rng).to(op.device, op.dtype))
    with exact_products(op.device):
        together, sizes = products.linearise(noise, labels, ones).second_derivatives(
            direction, by_image=True
        )
        alone = [
            products.linearise(noise[i : i + 1], labels[:1], ones[:1]).second_derivatives(direction)
            for i in range(3)
        ]
    apart = (together - torch.cat(alone, 1)[0]).abs()
    return bool((apart <= AGREEMENT * sizes).all())


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
