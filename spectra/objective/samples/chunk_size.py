"""How many samples are worked on in one piece, where nobody says."""

import torch
from torch import nn

from spectra.objective.kept_tensors import counted
from spectra.objective.samples.input_tree import InputTree, Samples, select
from spectra.objective.workers import CUDA_FACTOR, default_micro_chunk

# Ours: numbers that a forward pass keeps for a backward one: about what ResNet-20 keeps of the 32
# CIFAR images that are its chunk. The chunk fixes the order of summation, so changing it moves
# results by rounding.
CHUNK_NUMBERS = 2**24
_MOST = 1024


def default_chunk(network: nn.Module, samples: Samples, device: torch.device) -> int:
    """Return the samples in one piece of work.

    Of images and other real numbers in one tensor: by their pixels, see
    :func:`spectra.objective.workers.default_micro_chunk`. Of sequences of integers and of several
    tensors: as many as keep 2**24 numbers between forward and backward pass (2**29 on CUDA), 1 to
    1024.

    Cost: a forward pass of one sample.

    Args:
        network: takes a batch of ``samples``, and is where they are.
        samples: as they were frozen.
        device: where they are.
    """
    if not isinstance(samples, InputTree) and samples.dtype.is_floating_point:
        return default_micro_chunk(samples, device)
    factor = CUDA_FACTOR if device.type == "cuda" else 1
    each = _kept_numbers(network, select(samples, torch.zeros(1, dtype=torch.int64))[:])
    return min(_MOST, max(1, factor * CHUNK_NUMBERS // max(1, each)))


@torch.enable_grad()
def _kept_numbers(network: nn.Module, batch: object) -> int:
    """Return how many numbers a forward pass of ``batch`` keeps, those of the network left out."""
    own = [*network.parameters(), *network.buffers()]
    return counted(lambda: network(batch), without=own).numbers
