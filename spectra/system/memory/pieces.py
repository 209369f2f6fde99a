"""Long vectors in pieces, so that what is made on the way is as large as a piece."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

# Ours: entries; 32 MiB of float64. A network with fewer parameters has its vectors whole.
PIECE = 2**22


def pieces(size: int) -> Iterator[slice]:
    """Yield slices that cut ``size`` entries into pieces, in their order.

    >>> list(pieces(3))
    [slice(0, 3, None)]
    """
    for start in range(0, size, PIECE):
        yield slice(start, min(start + PIECE, size))


def add_to(total: Tensor, part: Tensor) -> None:
    """Add ``part`` (P,), of any dtype, to ``total`` (P,), in the dtype of ``total``.

    Torch would widen all of ``part`` first. Each entry comes out the same.
    """
    for piece in pieces(len(total)):
        total[piece].add_(part[piece])  # += would write the piece back besides


def take_from(total: Tensor, part: Tensor) -> None:
    """Take ``part`` (P,) from ``total`` (P,); see :func:`add_to`."""
    for piece in pieces(len(total)):
        total[piece].sub_(part[piece])


def add_parts_to(total: Tensor, parts: Sequence[Tensor]) -> Callable[[], Tensor]:
    """Add ``parts``, one behind the other, to ``total`` (P,); return what measures them.

    Returns:
        What returns their length together, float64, if it is asked for before they change.
    """
    if len(total) <= PIECE:
        joined = torch.cat([part.reshape(-1) for part in parts])
        total += joined
        return lambda: joined.double().norm()
    start = 0
    for part in parts:
        flat = part.reshape(-1)
        add_to(total[start : start + len(flat)], flat)
        start += len(flat)
    return lambda: torch.stack([part.double().norm() for part in parts]).norm()
