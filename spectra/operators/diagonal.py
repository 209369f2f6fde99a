"""The diagonal of an operator that is known by its products, estimated with its error."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from spectra.errors import InputError, check_integer
from spectra.system.seeding import make_generator

# Ours: the standard error of an entry is then an eighth of the root of the sum of the squares
# beside it in its row.
DIAGONAL_PROBES = 64
# Ours: vectors that are drawn and multiplied together, so that their memory is bounded.
_AT_ONCE = 4


class MultipliesRows(Protocol):
    """What the estimate asks of an operator, see :class:`spectra.SymmetricOperator`."""

    size: int
    device: torch.device
    dtype: torch.dtype
    label: str

    @property
    def vectors_a_pass(self) -> int:
        """How many vectors it takes together."""
        ...

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return H v for each row of ``vectors``, shape (K, P)."""
        ...


@dataclass(frozen=True)
class DiagonalEstimate:
    """An estimate of diag(H).

    Attributes:
        values: shape (P,), float64, in eigenvalue units; unbiased.
        standard_error: of each of them over the probes, shape (P,), float64.
        num_probes: random vectors that were used.
    """

    values: Tensor
    standard_error: Tensor
    num_probes: int


def estimate_diagonal(
    op: MultipliesRows,
    *,
    num_probes: int = DIAGONAL_PROBES,
    seed: int = 0,
    generator: torch.Generator | None = None,
) -> DiagonalEstimate:
    """Estimate diag(H) as the mean of z ⊙ H z over vectors z of independent signs.

    The variance of an entry is Σ_j H_ij² over the others of its row, divided by ``num_probes``: a
    diagonal H has none.

    Cost: ``num_probes`` products, and three vectors of float64 beside theirs.

    Args:
        op: H.
        num_probes: at least 2, for there to be an error.
        seed: of the signs, with the operator's label.
        generator: source of the signs in place of ``seed``, on the CPU.

    Raises:
        InputError: ``num_probes`` is out of range.

    Source: Bekas, Kokiopoulou & Saad 2007.

    Example:
        >>> import spectra
        >>> found = spectra.DenseOperator(torch.diag(torch.tensor([1.0, -2.0]))).diagonal()
        >>> found.values, found.standard_error
        (tensor([ 1., -2.], dtype=torch.float64), tensor([0., 0.], dtype=torch.float64))
    """
    check_integer("num_probes", num_probes)
    if num_probes < 2:
        raise InputError(f"num_probes must be an integer of at least 2, got {num_probes!r}")
    source = make_generator(seed, "diagonal", op.label) if generator is None else generator
    mean = torch.zeros(op.size, dtype=torch.float64, device=op.device)
    squares, done = torch.zeros_like(mean), 0
    at_once = max(_AT_ONCE, op.vectors_a_pass)
    while done < num_probes:
        count = min(at_once, num_probes - done)
        signs = torch.randint(0, 2, (count, op.size), generator=source).mul_(2).sub_(1)
        probes = signs.to(op.device, op.dtype)
        for found in (probes * op.matmat(probes)).double():
            # Welford's recurrence: no difference of large sums.
            done += 1
            off = found - mean
            mean += off / done
            squares += off * (found - mean)
    return DiagonalEstimate(mean, (squares / (num_probes - 1) / num_probes).sqrt(), num_probes)
