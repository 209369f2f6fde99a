"""Gradients of a whole batch from those of its parts, one a rank."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spectra.system.ranks import World


def summed(parts: Sequence[Tensor], world: World) -> list[Tensor]:
    """Return the sum of every tensor over all ranks, by one all-reduce of all numbers in a row.

    Torch's DistributedDataParallel is not used. It averages, which is wrong where parts differ in
    size or weight; it sums within a backward pass, while a rule such as SAM or CC-SAM takes several
    gradients a step and wants some of them of a part alone; and what it gains, sums that travel
    while the pass still runs, is little for networks whose gradients have a few megabytes.

    Cost: one copy of the tensors, and twice their bytes sent and received by each rank.

    Args:
        parts: of the same shapes on every rank.
        world: the ranks.

    Returns:
        The tensors themselves in a world of one; else views of one tensor for each dtype.
    """
    if world.size == 1:
        return list(parts)
    found: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(part.dtype for part in parts):
        alike = [i for i, part in enumerate(parts) if part.dtype == dtype]
        flat = world.add_up(torch.cat([parts[i].reshape(-1) for i in alike]))
        pieces = flat.split([parts[i].numel() for i in alike])
        found |= {i: piece.view_as(parts[i]) for i, piece in zip(alike, pieces, strict=True)}
    return [found[i] for i in range(len(parts))]


@torch.no_grad()
def sum_stored(parameters: Sequence[Tensor], world: World) -> None:
    """Replace what every ``.grad`` holds by its sum over all ranks.

    A parameter that some ranks' passes have not used counts as 0 there; one that no rank's has used
    keeps no gradient, so that the optimizer leaves it alone as in one process.
    """
    if world.size == 1:
        return
    used = parameters[0].new_tensor([p.grad is not None for p in parameters])
    stored = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    *whole, users = summed([*stored, used], world)
    for p, gradient, users_of_p in zip(parameters, whole, users, strict=True):
        # Read back from the device only where this rank did not use it.
        if p.grad is not None or float(users_of_p):
            p.grad = gradient
