"""Parameters that are elsewhere for a while."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def perturbed(
    parameters: Sequence[Tensor], step: Sequence[Tensor], factor: float = 1.0
) -> Iterator[None]:
    """Add ``factor`` steps to the parameters inside the block; put their exact values back then."""
    weights = list(parameters)
    kept = [torch.empty_like(w, requires_grad=False) for w in weights]
    with torch.no_grad():
        torch._foreach_copy_(kept, weights)
        torch._foreach_add_(weights, list(step), alpha=factor)
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, kept)
