"""What is known of one extreme eigenvalue: three statements, kept apart, each with its grounds."""

import math
from dataclasses import dataclass, field, replace

from spectra.errors import InputError
from spectra.system.files.writing import WHEN_SET

# The assumption behind every δ: one float64 product over a chunk of images is wrong by at most
# K u of its length. Ours: on the test nets two differently ordered computations differ by at most
# 2 u of the scales below; K leaves more than three decades for depth and width.
ROUNDING_FACTOR = 1e4
UNIT_ROUNDOFF = 2.0**-53
# What stands in for them where only float32 products are at hand. Ours: those of deep ReLU nets,
# where single masks flip, have been wrong by some 1e-4 of max|θ|, all others by less than 1e-5.
FLOAT32_FACTOR = 1e3
FLOAT32_ROUNDOFF = 2.0**-24

SMALLEST, LARGEST = "smallest", "largest"

# Causes for :func:`unbounded`.
WARM_START = "warm start"
ACTIVE_IMAGES = "active images"
RADEMACHER_PROBE = "Rademacher probe"
HALF_BASIS = "basis in half precision"
OTHER_ENGINE = "another engine's products"


@dataclass(frozen=True)
class Certificate:
    """What is known of λmin or of λmax.

    The statements are of different kinds: the first two follow from one product with one vector,
    however that was found, or the first from a second derivative along it; the third from a whole
    run and its random start.

    Attributes:
        which: ``smallest`` or ``largest``.
        value: θ = yᵀHy, eigenvalue units (loss / parameter²).
        rounding: δ >= 0, see :func:`rounding_bound`; a bound under its stated assumption, an
            estimate where not ``proven``; 0 in results of before that was made.
        residual: r = ‖H y - θ y‖ >= 0.
        proven: θ comes from a float64 pass over all images; else every statement is labelled
            ``estimated``.
        beyond: no eigenvalue lies beyond this, eigenvalue units; None where nothing bounds it.
        confidence: probability, over the start vector, of what ``beyond`` says; 0 where None.
        why: what ``beyond`` rests on, as ``cold start, 80 steps``; where it is None, why there is
            none, as ``not bounded below: warm start`` (:func:`unbounded`).
        residual_rounding: by how much r may be wrong where it comes from float32 products beside a
            float64 θ: statement (ii) is then estimated. 0 where r and θ come from one product.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> known = spectra.Certificate(
        ...     "smallest", -2.0, 1e-9, 0.01, proven=True, beyond=None, confidence=0.0,
        ...     why="not bounded below: warm start",
        ... )
        >>> print(known.nearby_statement())
        some eigenvalue lies in [-2.01, -1.99] (float64 pass over all images, rounding 1e-09)
    """

    which: str
    value: float
    rounding: float
    residual: float
    proven: bool
    beyond: float | None
    confidence: float
    why: str
    residual_rounding: float = field(default=0.0, metadata=WHEN_SET)

    def __post_init__(self) -> None:
        if self.which not in (SMALLEST, LARGEST):
            raise InputError(f"which must be {SMALLEST} or {LARGEST}, got {self.which!r}")
        sizes = (self.rounding, self.residual, self.residual_rounding)
        finite = all(math.isfinite(x) for x in (self.value, *sizes, self.beyond or 0.0))
        if not finite or min(sizes) < 0:
            raise InputError(
                "value, rounding, residual and beyond must be finite, the middle two >= 0, got "
                f"{self.value}, {', '.join(map(str, sizes))} and {self.beyond}"
            )
        if not (0 < self.confidence < 1 if self.beyond is not None else self.confidence == 0):
            raise InputError(
                "confidence must lie between 0 and 1, and be 0 without a bound, got "
                f"{self.confidence} for beyond {self.beyond}"
            )

    @property
    def attained(self) -> float:
        """θ + δ for λmin, θ - δ for λmax: the extreme is there or further out."""
        return self.value - self._outward * self.rounding

    @property
    def contradicted(self) -> bool:
        """Whether θ itself lies beyond ``beyond``: the unlikely happened, or float32 misled."""
        return self.beyond is not None and self._outward * (self.attained - self.beyond) > 0

    def attained_statement(self) -> str:
        """Return statement (i), λmin <= θ + δ or λmax >= θ - δ: a Rayleigh quotient."""
        sign = "<=" if self.which == SMALLEST else ">="
        return f"{self._symbol} {sign} {self.attained:.6g} ({self._label})"

    def nearby_statement(self) -> str:
        """Return statement (ii), some eigenvalue lies in [θ - r - δ, θ + r + δ]: a residual."""
        reach = self.residual + self.rounding + self.residual_rounding
        label = self._label
        if self.proven and self.residual_rounding:
            label = (
                f"residual of float32 products: estimated, rounding {self.residual_rounding:.2g}"
            )
        return (
            f"some eigenvalue lies in [{self.value - reach:.6g}, {self.value + reach:.6g}] "
            f"({label})"
        )

    def beyond_statement(self) -> str:
        """Return statement (iii), λmin >= beyond or λmax <= beyond, with its probability."""
        if self.beyond is None:
            return f"{self._symbol} {self.why}"
        sign = ">=" if self.which == SMALLEST else "<="
        if self.contradicted:
            return f"{self._symbol} {sign} {self.beyond:.6g} is contradicted by {self.value:.6g}"
        label = self.why if self.proven or "estimated" in self.why else f"{self.why}, estimated"
        return (
            f"{self._symbol} {sign} {self.beyond:.6g} with probability {self.confidence:.6g} "
            f"over the start vector ({label})"
        )

    def scaled(self, factor: float) -> "Certificate":
        """Return the certificate of factor · H; ``factor`` > 0."""
        return replace(
            self,
            value=self.value * factor,
            rounding=self.rounding * factor,
            residual=self.residual * factor,
            residual_rounding=self.residual_rounding * factor,
            beyond=None if self.beyond is None else self.beyond * factor,
        )

    def statements(self) -> tuple[str, str, str]:
        """Return (i), (ii) and (iii), a line each."""
        return self.attained_statement(), self.nearby_statement(), self.beyond_statement()

    @property
    def _outward(self) -> int:
        return -1 if self.which == SMALLEST else 1

    @property
    def _symbol(self) -> str:
        return "λmin" if self.which == SMALLEST else "λmax"

    @property
    def _label(self) -> str:
        if not self.proven:
            return f"estimated, rounding {self.rounding:.2g}" if self.rounding else "estimated"
        return f"float64 pass over all images, rounding {self.rounding:.2g}"


def unbounded(which: str, cause: str, missed: float | None = None) -> str:
    """Return the ``why`` of a certificate without a bound: ``not bounded below: warm start``.

    Args:
        which: end.
        cause: why nothing bounds it.
        missed: probability that a cold check did not see an eigenvalue twice as far out.
    """
    side = "below" if which == SMALLEST else "above"
    why = f"not bounded {side}: {cause}"
    if missed is None:
        return why
    return f"{why}; a cold check misses one twice as far out with probability {missed:.1g}"


def rounding_bound(
    products_scale: float,
    theta_scale: float,
    *,
    factor: float = ROUNDING_FACTOR,
    unit: float = UNIT_ROUNDOFF,
) -> float:
    """Return δ = K u (Σ_c ‖w_c H_c y‖ / W + max|θ|), what yᵀHy is wrong by at most.

    Assumption, not theorem: the product of one chunk of images is wrong by at most K u of its own
    length. Then the chunks' errors add up to K u Σ_c ‖w_c H_c y‖ / W, also where they cancel, and
    inner products and sums of P and n terms add less than K u max|θ|. ‖H y - θ y‖ is covered too.

    Args:
        products_scale: Σ_c ‖w_c H_c y‖ / W over the chunks, for y of length 1, eigenvalue units.
        theta_scale: the largest |θ|.
        factor: K.
        unit: u, 2^-53 for float64 products. For float32 ones, :data:`FLOAT32_ROUNDOFF` and
            :data:`FLOAT32_FACTOR` give an estimate, not a bound.

    Raises:
        InputError: a number is negative or not finite.

    Source: ours; Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., chapter 3, for
    the form of such bounds.
    """
    for number in (products_scale, theta_scale, factor, unit):
        if not (math.isfinite(number) and number >= 0):
            raise InputError(f"scales, factor and unit must be finite and >= 0, got {number}")
    return factor * unit * (products_scale + theta_scale)
