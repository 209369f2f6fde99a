"""A gradient and a product in float64, and central differences to compare them with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.errors import NonFiniteError
from spectra.objective.frozen_loss import FrozenLoss
from spectra.operators.chunked import ChunkedOperator
from spectra.products.double_backward import DoubleBackwardProducts, GradientGraph
from spectra.system.exact import exact_products
from spectra.system.seeding import make_generator

INFINITE = (
    "a Hessian-vector product holds NaN or infinity while the loss is finite: a second derivative "
    "is infinite somewhere (sqrt or norm at 0?)"
)


@dataclass(frozen=True)
class Derivatives:
    """Loss, gradient and product of an operator, as backward passes give them.

    Attributes:
        value: the loss.
        gradient: shape (P,).
        slopes: ‖·‖ of the gradient by each parameter, shape (B,).
        reached: whether a gradient reaches it, be it 0; shape (B,).
        vector: of length 1, with parts of about one length in each parameter that is reached, a
            third of it along the gradient; shape (P,).
        product: H times it, shape (P,).
    """

    value: float
    gradient: Tensor
    slopes: Tensor
    reached: Tensor
    vector: Tensor
    product: Tensor


def derivatives(op: ChunkedOperator, attempt: int) -> Derivatives:
    """Return the derivatives of ``op``, in float64, along the direction of an attempt.

    Cost: a product; where its images are several chunks, a forward and backward pass beside it.

    Raises:
        NonFiniteError: the product holds NaN or infinity.
    """
    op.check_point()
    graph = _graph_of_one_chunk(op)
    value, gradient, reached = _with_reached(op) if graph is None else _read_off(op, graph)
    slopes = block_norms(op, gradient)
    vector = _direction(op, gradient, slopes, reached, attempt)
    if graph is None:
        product = op.matvec(vector)
    else:
        with exact_products(op.device):
            product = graph.product(graph.products.direction(vector)).div_(op.total_weight)
        op.check_point()
    if not product.norm().isfinite():
        raise NonFiniteError(INFINITE)
    return Derivatives(value, gradient, slopes, reached, vector, product)


def _graph_of_one_chunk(op: FrozenLoss) -> GradientGraph | None:
    """Return the graph of the gradient, which its products go through; None of several chunks."""
    chunk = next(op.chunks())
    if chunk.stop < op.num_images:
        return None
    products = DoubleBackwardProducts(op.model, op.sample_losses)
    with exact_products(op.device):
        return products.linearise(op.images[chunk], op.labels[chunk], op.weights[chunk])


def _read_off(op: FrozenLoss, graph: GradientGraph) -> tuple[float, Tensor, Tensor]:
    """Return what :func:`_with_reached` does."""
    named = zip(graph.products.trained, graph.gradients, strict=True)
    pieces = {name: piece.detach() for name, piece in named if piece is not None}
    reached = torch.tensor([name in pieces for name in op.names], device=op.device)
    gradient = graph.products.flat(pieces)
    return float(graph.loss) / op.total_weight, gradient.div_(op.total_weight), reached


def _with_reached(op: FrozenLoss) -> tuple[float, Tensor, Tensor]:
    """Return the mean loss, its gradient (P,), and which parameters that reaches, (B,)."""
    value, reached = 0.0, torch.zeros(len(op.parameters), dtype=torch.bool)
    gradient = torch.zeros(op.size, dtype=op.dtype, device=op.device)
    with exact_products(op.device), torch.enable_grad():
        for chunk in op.chunks():
            loss = op.chunk_losses(chunk).sum()
            value += float(loss.detach())
            if loss.requires_grad:
                pieces = torch.autograd.grad(loss, op.parameters, allow_unused=True)
                reached |= torch.tensor([piece is not None for piece in pieces])
                for slope, piece in zip(op.unflatten(gradient), pieces, strict=True):
                    if piece is not None:
                        slope += piece
                del pieces
    return value / op.total_weight, gradient.div_(op.total_weight), reached.to(op.device)


def central_difference(op: FrozenLoss, vector: Tensor, step: float) -> tuple[float, Tensor]:
    """Return the derivatives of loss and gradient along ``vector``, (P,), by central differences.

    Cost: two forward and backward passes.
    """
    with op.moved(vector, step):
        up, gradient, _ = _with_reached(op)
    with op.moved(vector, -step):
        down, other, _ = _with_reached(op)
    gradient.sub_(other)
    return (up - down) / (2 * step), gradient.div_(2 * step)


def block_norms(op: FrozenLoss, vector: Tensor) -> Tensor:
    """Return the norm of each parameter's part of ``vector``, shape (B,)."""
    return torch.stack(torch._foreach_norm(op.unflatten(vector)))


def _direction(
    op: FrozenLoss, gradient: Tensor, slopes: Tensor, reached: Tensor, attempt: int
) -> Tensor:
    """Return the direction of an attempt; see :class:`Derivatives`."""
    generator = make_generator(0, "derivative check", attempt)
    vector = torch.rand(op.size, generator=generator).to(op.device, op.dtype).sub_(0.5)
    pieces = op.unflatten(vector)
    torch._foreach_mul_(pieces, list(reached / block_norms(op, vector)))
    along = torch.where(slopes > 0, 0.5 / slopes, 0.0)
    for piece, slope, share in zip(pieces, op.unflatten(gradient), along, strict=True):
        piece.addcmul_(slope, share)  # without a copy of the gradient, or a wait for a card
    return vector.div_(vector.norm().clamp_min(1e-300))  # 0 where no parameter is reached
