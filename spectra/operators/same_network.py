"""Operators over other samples that share a network with one that was built and checked."""

from typing import Any

import torch
from torch import Tensor

from spectra.objective.counting import ImageCount
from spectra.objective.samples.forward import part_of
from spectra.objective.samples.input_tree import as_samples, frozen
from spectra.objective.samples.inputs import check_inputs, label_tensor
from spectra.operators.hessian import HessianOperator
from spectra.products import KeptWork


def over_samples(
    like: HessianOperator,
    images: Any,
    labels: Any,
    *,
    weights: Tensor | None = None,
    label: str = "",
) -> HessianOperator:
    """Return the Hessian of the same network and loss over other samples, of any number.

    The network is neither copied nor checked again, which takes a third of the time that a class
    of 20 small images takes in all. Products are made as ``like`` makes them, in chunks of as many
    images, and are to the last bit those of an operator that was built anew.

    Args:
        like: built and checked; it keeps its own samples, counts and kept work.
        images: as :class:`spectra.HessianOperator` takes them.
        labels: integers (n,).
        weights: w_i >= 0, shape (n,); None for a plain mean.
        label: names the random streams of what is estimated.

    Raises:
        InputError: shapes or labels are not as above, or there are no images.
        NonFiniteError: images hold NaN or infinity.

    Example:
        >>> import spectra
        >>> net, images = torch.nn.Linear(3, 2), torch.randn(6, 3)
        >>> H = spectra.HessianOperator(net, images, [0, 1, 0, 1, 0, 1])
        >>> part = over_samples(H, images[:2], [0, 1], label="first")
        >>> part, part.num_images
        (<HessianOperator of first: 8 x 8, float32 on cpu>, 2)
    """
    samples, targets = as_samples(images), label_tensor(labels)
    check_inputs(samples, targets, weights, like.dtype)
    held = part_of(frozen(samples, like.device, like.dtype), like._input_names)
    made = like._copied(
        images=held,
        labels=targets.detach().to(like.device, copy=True),
        label=label,
        count=ImageCount(),
        _kept=KeptWork(like.memory_budget, trims=like.device.type == "cpu"),
    )
    made._take_weights(torch.ones(len(targets)) if weights is None else weights)
    return made
