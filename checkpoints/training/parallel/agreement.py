"""One network on all ranks: shared out at the start, made one after an epoch, and looked at."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from checkpoints.training.parallel.norms import norm_layers
from spectra.classes.identity import weights_digest
from spectra.errors import InputError, SpectraError
from spectra.system.ranks import World

T = TypeVar("T")


def by_first(world: World, work: Callable[[], T]) -> T:
    """Return what ``work`` returns on rank 0, which alone does it; every rank raises its error.

    Raises:
        SpectraError: whatever the work raises that a user can mend, on every rank.
    """
    value: T | None = None
    error: SpectraError | None = None
    if world.first:
        try:
            value = work()
        except SpectraError as raised:
            if world.size == 1:
                raise
            error = raised
    told: tuple[T | None, SpectraError | None] = world.broadcast((value, error))
    value, error = told
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


@torch.no_grad()
def share_network(model: nn.Module, optimizer: torch.optim.SGD, world: World) -> None:
    """Give every rank the weights, buffers and momentum of rank 0.

    Cost: their bytes once; nothing is read from files by the others.
    """
    if world.size == 1:
        return
    for value in model.state_dict().values():
        _take_from_first(value, world)
    named = dict(model.named_parameters())
    key = "momentum_buffer"
    moving = world.broadcast([name for name in named if key in optimizer.state[named[name]]])
    for name in moving:
        state = optimizer.state[named[name]]
        if key not in state:
            state[key] = torch.empty_like(named[name], requires_grad=False)
        _take_from_first(state[key], world)


@torch.no_grad()
def agree_on_buffers(model: nn.Module, world: World) -> None:
    """Give every rank the same buffers.

    Running averages of norm layers, which each rank has of its own images, are averaged over ranks:
    so all images have a say in what is saved. All other buffers, such as counters, are rank 0's.
    """
    if world.size == 1:
        return
    averages = [
        buffer
        for layer in norm_layers(model)
        for buffer in (layer.running_mean, layer.running_var)
        if buffer is not None
    ]
    for buffer in averages:
        buffer.copy_(world.add_up(buffer.clone()) / world.size)
    known = {id(buffer) for buffer in averages}
    for buffer in model.buffers():
        if id(buffer) not in known:
            _take_from_first(buffer, world)


def check_same_network(model: nn.Module, world: World, when: str) -> None:
    """Raise InputError, on every rank, where the ranks hold different weights or buffers.

    Cost: one SHA-256 of each tensor on each rank.

    Args:
        model: on every rank.
        world: the ranks.
        when: such as ``after epoch 3``.
    """
    if world.size == 1:
        return
    own = {key: weights_digest({key: value}) for key, value in model.state_dict().items()}
    found = world.gather(own)
    for rank, other in enumerate(found):
        differ = [key for key in found[0] if other.get(key) != found[0][key]]
        if differ:
            raise InputError(
                f"ranks 0 and {rank} hold different networks {when}, in {len(differ)} of "
                f"{len(found[0])} tensors, such as {differ[0]}; train on machines of one kind with "
                "the same torch, and let a network of your own keep no weights that depend on its "
                "rank"
            )


def _take_from_first(value: Tensor, world: World) -> None:
    """Overwrite ``value`` by rank 0's; as bytes, which can be sent of any dtype."""
    sent = value.detach().reshape(-1).clone()
    world.share_tensor(sent.view(torch.uint8))
    value.copy_(sent.view(value.shape))
