"""Outliers of a spectrum: how many eigenvalues stand apart at its upper end."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from spectra.errors import InputError
from spectra.krylov.quadrature.resolved import ResolvedSpectrum


@dataclass(frozen=True)
class Outliers:
    """Where the largest eigenvalues have their widest gap.

    Attributes:
        values: the largest eigenvalues, falling.
        count: k with the largest λ_k / λ_{k+1}: as many stand before the widest gap.
        ratio: λ_k / λ_{k+1} there.
        next_ratio: the second largest of these ratios: near ``ratio``, no gap stands out.
    """

    values: tuple[float, ...]
    count: int
    ratio: float
    next_ratio: float

    def ratio_after(self, k: int) -> float | None:
        """Return λ_k / λ_{k+1}; None where these are not known or not both positive."""
        if not 1 <= k < len(self.values) or self.values[k] <= 0:
            return None
        return self.values[k - 1] / self.values[k]


def outliers(largest: Sequence[float]) -> Outliers:
    """Return how many of the largest eigenvalues stand before their widest gap.

    Args:
        largest: falling, at least 3; those up to the first that is not positive are looked at.

    Raises:
        InputError: fewer than 3 are positive, or they do not fall.

    Example:
        >>> found = outliers([9.0, 8.0, 7.0, 1.0, 0.9, 0.8])
        >>> found.count, found.ratio
        (3, 7.0)
    """
    values = tuple(float(value) for value in largest)
    if any(later > earlier for earlier, later in pairwise(values)):
        raise InputError("eigenvalues must be given from the largest downwards")
    positive = [value for value in values if value > 0]
    if len(positive) < 3:
        raise InputError(
            f"a gap needs at least 3 positive eigenvalues, got {len(positive)}; ask for more"
        )
    ratios = [earlier / later for earlier, later in pairwise(positive)]
    best, following = sorted(ratios, reverse=True)[:2]
    return Outliers(values, ratios.index(best) + 1, best, following)


def resolved_above(found: ResolvedSpectrum) -> int:
    """Return how many eigenvalues are resolved beyond the upper end of all that is not.

    More steps resolve more of them, so that it says how many can be told apart by this run.

    Args:
        found: of a quadrature, see :func:`spectra.resolve`.

    Example:
        >>> import torch, spectra
        >>> values = torch.cat([torch.linspace(-1, 1, 95), torch.tensor([4.0, 6, 7, 9, -3])])
        >>> H = spectra.DenseOperator(torch.diag(values.double()))
        >>> resolved_above(spectra.resolve(spectra.slq(H, num_steps=25)))
        4
    """
    ends = found.rest_ends
    edge = 0.0 if ends is None else max(ends[1], 0.0)
    return int((found.values > edge).sum())
