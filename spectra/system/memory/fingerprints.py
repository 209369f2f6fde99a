"""Whether a large tensor has changed, without a copy of it."""

import torch
from torch import Tensor

from spectra.system.memory.pieces import pieces

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
# Odd, and far from a simple fraction of 2⁶⁴: Knuth's multiplicative hashing.
_SPREAD = -7046029254386353131


@torch.no_grad()
def fingerprint(tensor: Tensor) -> Tensor:
    """Return 64 bits that change with any entry, and with the order of the entries.

    They are the sum of the bits of each entry times an odd number of its own. Memory: as a few
    pieces take, whatever the tensor's size.

    Args:
        tensor: strided; real numbers, integers or truth values.

    >>> one = torch.arange(4.0)
    >>> [bool(fingerprint(one) == fingerprint(other)) for other in (one.clone(), one.flip(0))]
    [True, False]
    """
    flat = tensor.detach().reshape(-1)
    bits = flat.view(_INTEGERS[flat.element_size()])
    found = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for piece in pieces(len(bits)):
        places = torch.arange(piece.start, piece.stop, device=tensor.device)
        found += places.mul_(_SPREAD).bitwise_or_(1).mul_(bits[piece]).sum()
    return found
