"""Parameters that are elsewhere for a while."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def perturbed(parameters: Sequence[Tensor], step: Sequence[Tensor]) -> Iterator[None]:
    """Add ``step`` to the parameters inside the block; put their exact values back after it."""
    weights = list(parameters)
    kept = [torch.empty_like(w, requires_grad=False) for w in weights]
    with torch.no_grad():
        torch._foreach_copy_(kept, weights)
        torch._foreach_add_(weights, list(step))
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, kept)
