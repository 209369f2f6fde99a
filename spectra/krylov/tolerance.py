"""How small a residual is to be, and how large the rounding of a product may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectra.errors import InputError, is_number
from spectra.krylov.defaults import FLOOR, TOLERANCE

_FLOAT64 = 2.0**-52
# Ours: the rounding of a product grows as √P; where β tells it from nothing, it is held below the
# couplings that a real bulk has beside outliers, in float32 too.
_ROUNDING, _ROUNDING_LIMIT = 10.0, 5e-6


@dataclass(frozen=True)
class Tolerance:
    """The residual ‖H y - θ y‖ at which an eigenpair counts as converged.

    Attributes:
        tol: relative to |θ|, > 0.
        floor: relative to the largest |θ|, >= 0: under it an eigenvalue counts as zero.

    Raises:
        InputError: a number is out of range.
    """

    tol: float = TOLERANCE
    floor: float = FLOOR

    def __post_init__(self) -> None:
        numbers = is_number(self.tol) and is_number(self.floor)
        if not (numbers and self.tol > 0 and self.floor >= 0):
            raise InputError(
                f"tol must be > 0 and floor >= 0, got {self.tol!r} and {self.floor!r}; "
                f"the defaults are {TOLERANCE} and {FLOOR}"
            )

    def allowed(
        self, values: Sequence[float] | npt.NDArray[np.float64], *, largest: float = 0.0
    ) -> npt.NDArray[np.float64]:
        """Return max(tol |θ|, floor max|θ|) for each θ, in its unit.

        Args:
            values: θ, shape (k,).
            largest: the largest |θ| known elsewhere; that of ``values`` counts too.

        >>> Tolerance(tol=0.01, floor=0.001).allowed([-5.0, 0.0, 100.0]).tolist()
        [0.1, 0.1, 1.0]
        """
        sizes = np.abs(np.asarray(values, dtype=np.float64))
        return np.maximum(self.tol * sizes, self.floor * sizes.max(initial=largest))

    def met_at_ends(
        self,
        values: npt.NDArray[np.float64],
        residuals: npt.NDArray[np.float64],
        k: int = 1,
        *,
        closed: bool = False,
        largest: float = 0.0,
    ) -> npt.NDArray[np.bool_]:
        """Say which of the k lowest and of the k highest Ritz pairs have converged.

        Args:
            values: all θ, rising, shape (m,).
            residuals: of each, shape (m,).
            k: how many at each end.
            closed: where there are fewer than k, there are no others to be found.
            largest: see :meth:`allowed`.

        Returns:
            Shape (2, k): of the lowest, rising, and of the highest, falling.
        """
        m = min(k, len(values))
        met = np.full((2, k), closed)
        right = residuals <= self.allowed(values, largest=largest)
        met[:, :m] = right[:m], right[::-1][:m]
        return met


def product_rounding(size: int, eps: float = _FLOAT64) -> float:
    """Return 10 √P eps: what a product is uncertain by, relative to the largest |θ|.

    Args:
        size: P.
        eps: of the products' dtype, ``torch.finfo(dtype).eps``; float64's where it is not given.

    >>> product_rounding(10_000) == 1000 * 2.0**-52
    True
    """
    return _ROUNDING * size**0.5 * eps


def negligible(beta: float, scale: float, size: int, eps: float) -> bool:
    """Say whether β is below the rounding of products: direction and size of w are then noise.

    Args:
        beta: norm of what is left of a product.
        scale: size of the largest recurrence coefficients.
        size: P.
        eps: of the products' dtype.
    """
    return beta <= noise(scale, size, eps)


def noise(scale: float, size: int, eps: float) -> float:
    """Return what products are uncertain by, eigenvalue units; see :func:`negligible`."""
    return min(product_rounding(size, eps), _ROUNDING_LIMIT) * scale
