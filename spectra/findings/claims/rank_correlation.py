"""Whether two numbers rise together: a rank correlation with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from spectra.errors import InputError
from spectra.krylov.quadrature.intervals import LEVEL, check_level

# Ours: the variance below needs n - 3 > 0; with fewer pairs than this nothing can be said.
_FEWEST = 5


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of ranks.

    Attributes:
        estimate: between -1 and 1.
        lower, upper: its interval; (-1, 1) where there are fewer than 5 pairs.
        count: pairs of numbers.
        level: nominal coverage.
    """

    estimate: float
    lower: float
    upper: float
    count: int
    level: float

    @property
    def says_nothing(self) -> bool:
        """Whether 0 is within the interval."""
        return self.lower <= 0 <= self.upper


def rank_correlation(
    one: Sequence[float], other: Sequence[float], level: float = LEVEL
) -> RankCorrelation | None:
    """Return the rank correlation of pairs of numbers; None where one of them does not vary.

    The interval is by Fisher's z, with the variance (1 + ρ²/2) / (n - 3). It is for independent
    pairs; eigenpairs of one matrix are not quite that.

    Args:
        one: n numbers.
        other: n numbers beside them.
        level: of coverage, 0 < level < 1.

    Raises:
        InputError: there are not as many of one as of the other.

    Source: Bonett & Wright, Psychometrika 65, 2000.

    Example:
        >>> found = rank_correlation([1, 2, 3, 4, 5, 6, 7], [1, 3, 2, 4, 6, 5, 9])
        >>> round(found.estimate, 3), found.says_nothing
        (0.929, False)
    """
    check_level(level)
    if len(one) != len(other):
        raise InputError(f"a correlation is of pairs, got {len(one)} numbers and {len(other)}")
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    estimate = float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
    if len(one) < _FEWEST:
        return RankCorrelation(estimate, -1.0, 1.0, len(one), level)
    error = math.sqrt((1 + estimate**2 / 2) / (len(one) - 3))
    within = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, estimate)))
    reach = float(ndtri((1 + level) / 2)) * error
    return RankCorrelation(
        estimate, math.tanh(within - reach), math.tanh(within + reach), len(one), level
    )
