"""Layers by themselves: their products with the Hessian of Σ sin(layer(values)), and the oracle."""

from collections.abc import Callable, Sequence

import torch
from oracles import random_vector
from torch import Tensor

from spectra.products.layers.interface import Layer, Saved
from spectra.products.tangent.folding import Direction, Moved

# Relative: sums of some hundred terms in float64, in another order than torch's.
ROUNDING = 1e-12
DOUBLE = torch.float64


def draw(*shape: int, name: object = "value") -> Tensor:
    size = torch.Size(shape).numel()
    return random_vector(size, name, shape).view(shape)


def assert_layer(
    layer: Layer,
    function: Callable[..., Tensor],
    values: Sequence[Tensor],
    moving: Sequence[bool] | None = None,
) -> None:
    """Compare with double backward of ``function``: value, gradient, one product, three, and Jᵀ."""
    moving = [v.is_floating_point() for v in values] if moving is None else list(moving)
    leaves = [v.clone().requires_grad_(m) for v, m in zip(values, moving, strict=True)]
    moved = [leaf for leaf in leaves if leaf.requires_grad]
    y = function(*leaves)
    gradients = torch.autograd.grad(torch.sin(y).sum(), moved, create_graph=True)
    saved = Saved(tuple(values), layer.value(*values), torch.cos(y).detach())
    assert_close(saved.output, y.detach())
    pulled = layer.pull(saved, moving)
    for found, wanted in zip(picked(pulled, moving), gradients, strict=True):
        assert_close(found, wanted.detach())
    saved.keep(layer.keeps)
    for count in (1, 3, 1):
        along = [torch.stack([draw(*v.shape, name=(i, k)) for k in range(count)])
                 for i, v in enumerate(values) if moving[i]]  # fmt: skip
        wanted = [
            torch.autograd.grad(
                gradients, moved, [a[k] for a in along], retain_graph=True, materialize_grads=True
            )
            for k in range(count)
        ]
        found = layer_products(layer, saved, y.detach(), moving, along)
        for i, products in enumerate(found):
            assert_close(products, torch.stack([w[i] for w in wanted]))
    saved.input_tangents = (None,) * len(values)
    d_delta = draw(*y.shape, name="dδ")
    wanted = torch.autograd.grad(y, moved, d_delta)
    found = layer.pull_tangent(saved, d_delta, still(1), Moved(), moving)
    for cotangent, transposed in zip(picked(found, moving), wanted, strict=True):
        assert_close(cotangent, transposed)


def layer_products(
    layer: Layer, saved: Saved, y: Tensor, moving: Sequence[bool], along: Sequence[Tensor]
) -> list[Tensor]:
    """Return the products along K directions of each moving value, each (K, *shape)."""
    count, given = len(along[0]), iter(along)
    saved.input_tangents = tuple(stacked(next(given)) if m else None for m in moving)
    direction = still(count)
    dy = layer.tangent(saved, direction)
    shape = (count, *y.shape)
    d_delta = None
    if dy is not None:
        assert dy.shape == stacked(torch.empty(shape)).shape
        d_delta = stacked(-torch.sin(y) * dy.reshape(shape))
    found = layer.pull_tangent(saved, d_delta, direction, Moved(), moving)
    saved.input_tangents = ()
    shapes = [a.shape for a in along]
    pairs = zip(picked(found, moving), shapes, strict=True)
    return [torch.zeros(s) if f is None else f.reshape(s) for f, s in pairs]


def still(count: int) -> Direction:
    """Return K directions that move no affine layer."""
    return Direction(count, [], [], [], [], rest=[], sections={}, scales=None)


def stacked(directions: Tensor) -> Tensor:
    """Return K tangents as layers have them: one below the other, without an axis for K."""
    if len(directions) == 1:
        return directions[0]
    return directions.flatten(0, 1) if directions.ndim > 1 else directions


def picked(found: Sequence[Tensor | None], moving: Sequence[bool]) -> list[Tensor | None]:
    assert len(found) == len(moving)
    assert all(f is None for f, m in zip(found, moving, strict=True) if not m)
    return [f for f, m in zip(found, moving, strict=True) if m]


def assert_close(found: Tensor | None, wanted: Tensor) -> None:
    assert found is not None
    assert found.shape == wanted.shape
    assert float((found - wanted).norm()) <= ROUNDING * max(float(wanted.norm()), 1.0)
