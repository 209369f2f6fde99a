"""Batch norm where every rank has a part of the batch."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spectra.system.ranks import World


def norm_layers(model: nn.Module) -> list[nn.modules.batchnorm._NormBase]:
    """Return the layers of ``model`` that keep running averages of batches."""
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]


def batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the layers of ``model`` that normalise by what a batch holds."""
    return [m for m in norm_layers(model) if isinstance(m, nn.modules.batchnorm._BatchNorm)]


class Presence:
    """Whether the images that pass through a network count, or one stands in for none of them.

    Attributes:
        counts: so; changed around passes.
    """

    def __init__(self) -> None:
        self.counts = True

    @contextmanager
    def none(self) -> Iterator[None]:
        """Let images of passes within the block count for nothing."""
        self.counts = False
        try:
            yield
        finally:
            self.counts = True


def synchronise(model: nn.Module, world: World, presence: Presence) -> None:
    """Let batch norm in training mode normalise by the whole batch, over all ranks.

    The layers stay what they are, so that names and kinds in files do not change; torch's
    ``SyncBatchNorm`` refuses tensors on the CPU. Mean and then variance are summed in float32, or
    in float64 where the layer's inputs are, by two all-reduces a layer, and two more backward.

    Args:
        model: all of whose batch norms are changed.
        world: the ranks; every one makes the same passes.
        presence: whether this rank's images count.
    """
    for layer in batch_norms(model):
        # What a module calls is looked up in the instance first.
        layer.forward = functools.partial(  # type: ignore[method-assign]
            _normalised, layer, type(layer).forward, world, presence
        )


def _normalised(
    layer: nn.modules.batchnorm._BatchNorm,
    plain: Any,
    world: World,
    presence: Presence,
    x: Tensor,
) -> Tensor:
    """Return ``layer(x)`` with moments over the images of all ranks."""
    if not layer.training:
        found: Tensor = plain(layer, x)
        return found
    layer._check_input_dim(x)
    wide = x if x.dtype == torch.float64 else x.float()
    over = [d for d in range(x.ndim) if d != 1]
    shape = [1, -1] + [1] * (x.ndim - 2)
    present = float(presence.counts)
    number = wide.new_tensor([present * (x.numel() // x.shape[1])])
    # Added up as one tensor; the number of values has no derivative.
    sums = _SumOverRanks.apply(torch.cat([wide.sum(over) * present, number]), world)
    mean, count = sums[:-1] / sums[-1], sums[-1].detach()
    centred = wide - mean.view(shape)
    squares = _SumOverRanks.apply(centred.square().sum(over) * present, world)
    variance = squares / count
    normalised = centred * (variance + layer.eps).rsqrt().view(shape)
    if layer.affine:
        normalised = normalised * layer.weight.view(shape) + layer.bias.view(shape)
    with torch.no_grad():
        _move_averages(layer, mean, squares / (count - 1))
    return normalised.to(x.dtype)


def _move_averages(layer: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running averages towards a batch's, as torch does; the variance is unbiased."""
    if layer.running_mean is None or layer.running_var is None:
        return
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    step = layer.momentum
    if step is None:
        step = 1 / float(layer.num_batches_tracked)
    layer.running_mean.lerp_(mean.to(layer.running_mean), step)
    layer.running_var.lerp_(variance.to(layer.running_var), step)


class _SumOverRanks(torch.autograd.Function):
    """A sum over ranks whose gradient is the sum of the ranks' gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World) -> Tensor:
        ctx.world = world
        return world.add_up(values.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        world: World = ctx.world
        return world.add_up(gradients[0].contiguous().clone()), None
