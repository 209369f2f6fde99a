"""How each step of a network is done for several losses at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from spectra.objective.per_sample import PerSampleLoss
from spectra.products.layers.arithmetic import Arithmetic
from spectra.products.layers.interface import Saved
from spectra.products.layers.linear import Linear
from spectra.products.layers.matrix_products import Bilinear
from spectra.products.layers.pointwise import PRelu
from spectra.products.layers.rearrangements import Joined, Rearrangement
from spectra.products.norms.group_norm import GroupNorm
from spectra.products.norms.normalisation import Normalisation
from spectra.products.norms.running_norm import RunningNorm
from spectra.products.reading.read import read
from spectra.products.tangent.affine import Affine
from spectra.products.tangent.products import TangentChunk, TangentProducts
from spectra.products.tuning import DEFAULT, Tuning

# Layers whose passes torch maps over losses without going through them one by one.
MAPPED = (
    Arithmetic,
    Bilinear,
    GroupNorm,
    Joined,
    Linear,
    Normalisation,
    PRelu,
    Rearrangement,
    RunningNorm,
)
# Where a layer keeps a tensor: the field, and the place or name there.
Place = tuple[str, Any]


class CannotShareError(Exception):
    """A network's small losses cannot share a pass; the message says why."""


class Way(Enum):
    """How a step is done.

    Attributes:
        STILL: no parameter moves it.
        AFFINE: see :mod:`.affine_passes`.
        JOINED: the images of all losses are one batch: nothing is read but what each image has.
        APART: once, by ``torch.func.vmap`` over the losses: it reads parameters, whose tangents are
            others for each loss, or an axis that is not that of the images.
    """

    STILL = "still"
    AFFINE = "affine"
    JOINED = "joined"
    APART = "apart"


def tensors_of(saved: Saved) -> dict[Place, Tensor]:
    """Return the tensors that a layer keeps between products, by where they are."""
    named: dict[Place, Any] = {("output", None): saved.output, ("delta", None): saved.delta}
    named |= {("inputs", i): x for i, x in enumerate(saved.inputs)}
    named |= {("extra", name): x for name, x in saved.extra.items()}
    named |= {("others", i): x for i, x in enumerate(saved.others)}
    return {place: x for place, x in named.items() if isinstance(x, Tensor)}


def with_tensors(saved: Saved, named: Mapping[Place, Tensor]) -> Saved:
    """Return what a layer keeps with other tensors in those places, and in others none."""

    def exchanged(field: str) -> tuple[Any, ...]:
        return tuple(
            named.get((field, i), None if isinstance(x, Tensor) else x)
            for i, x in enumerate(getattr(saved, field))
        )

    found = replace(
        saved,
        inputs=exchanged("inputs"),
        others=exchanged("others"),
        output=named.get(("output", None)),
        delta=named.get(("delta", None)),
        extra={name: x for (field, name), x in named.items() if field == "extra"},
        input_tangents=(),
    )
    found.shapes = saved.shapes
    return found


def block_products(
    model: nn.Module, loss: PerSampleLoss, tuning: Tuning = DEFAULT
) -> TangentProducts:
    """Return products by a tangent pass over a network all of whose parameters are of layers.

    Args:
        model: in eval mode.
        loss: per-sample.
        tuning: of the products.

    Raises:
        CannotShareError: the network cannot be read so.
    """
    trace = read(model, trains_rest=False)
    if trace is None:
        raise CannotShareError("torch.fx does not trace the forward pass")
    return TangentProducts(model, trace, loss, tuning)


def ways_of(products: TangentProducts, images: Tensor, labels: Tensor) -> list[Way]:
    """Return the way of each step of a network.

    Cost: the primal work of five images.

    Args:
        products: of the network, by :func:`block_products`.
        images: (1, ...), one of them.
        labels: its label, (1,).

    Raises:
        CannotShareError: the network does not allow it.
    """
    trace = products.trace
    if trace.calls_modules:
        raise CannotShareError("a module of its own is called as it is")
    two, three = (
        products.linearise(
            images.repeat(n, *[1] * (images.ndim - 1)),
            labels.repeat(n),
            torch.ones(n, dtype=images.dtype, device=images.device),
        )
        for n in (2, 3)
    )
    of_images = _values_of_images(products, two, three)
    found = []
    for step, small, large in zip(trace.steps, two.saved, three.saved, strict=True):
        if small.graph is not None:
            raise CannotShareError("an operation is differentiated by torch's graph")
        if step.output not in products.moving:
            found.append(Way.STILL)
        elif isinstance(step.layer, Affine):
            if len(small.shapes[0]) < 2:
                raise CannotShareError("a linear layer reads no batch")
            found.append(Way.AFFINE)
        else:
            moving = {*step.inputs, step.output} & products.moving
            joined = moving <= of_images and _is_of_images(small, large)
            if not joined and not isinstance(step.layer, MAPPED):
                kind = type(step.layer).__name__
                raise CannotShareError(f"{kind} reads more than an image's own values")
            found.append(Way.JOINED if joined else Way.APART)
    if trace.features not in of_images:
        raise CannotShareError("the first axis of its outputs is not that of the images")
    return found


def _values_of_images(
    products: TangentProducts, two: TangentChunk, three: TangentChunk
) -> set[str]:
    """Return the values whose first axis is that of the images."""
    found, trace = set(), products.trace
    if _grows(two.rest.features.shape, three.rest.features.shape):
        found.add(trace.features)
    for step, small, large in zip(trace.steps, two.saved, three.saved, strict=True):
        for name, shape, other in zip(step.inputs, small.shapes, large.shapes, strict=False):
            if _grows(shape, other):
                found.add(name)
    return found


def _is_of_images(small: Saved, large: Saved) -> bool:
    """Say whether all that a layer keeps has the images, of which there are 2 and 3, first."""
    few, more = tensors_of(small), tensors_of(large)
    sizes = [[x for x in s.others if not isinstance(x, Tensor)] for s in (small, large)]
    shapes = [(x.shape, more[place].shape) for place, x in few.items() if place in more]
    shapes += [pair for pair in zip(small.shapes, large.shapes, strict=True) if any(pair)]
    same = few.keys() == more.keys() and sizes[0] == sizes[1]
    return same and all(_grows(*pair) for pair in shapes)


def _grows(small: Sequence[int], large: Sequence[int]) -> bool:
    """Say whether two shapes are those of two and of three images."""
    return len(small) > 0 and (small[0], large[0]) == (2, 3) and small[1:] == large[1:]
