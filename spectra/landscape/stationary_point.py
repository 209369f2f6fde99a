"""What a search for a stationary point has found: its name, how far it is, and why."""

from dataclasses import dataclass, field, replace
from typing import Self

from spectra.errors import InputError
from spectra.system.files.writing import WHEN_SET

SADDLE = "saddle"
MINIMUM = "minimum"
SLOPE = "slope"
TAIL = "slope, tail"
UNDECIDED = "undecided"
STATIONARY_NAMES = (SADDLE, MINIMUM, SLOPE, TAIL, UNDECIDED)
# Ours: ν at which people may be told that a Newton step divides the loss by about e.
_ABOUT_E = (0.8, 1.25)


@dataclass(frozen=True)
class StationaryPoint:
    """Whether a loss has a stationary point near w, and what it is there.

    A saddle and a minimum are named at the point that was found, not at w. A slope says that the
    search has found none within its radius.

    Distances are in the units of the parameters. The search moves in balanced parameters, each
    filter in units of its own length (:mod:`spectra.landscape.walk.balance`), and so its radius and
    its eigenvalues are those of a network whose layers have been rescaled to one mean length. Where
    nothing was balanced, the two agree.

    Attributes:
        name: one of :data:`STATIONARY_NAMES`.
        reason: the comparison that decided, with its numbers.
        search_radius: R, how far from w the search went at most, balanced units.
        loss_before: at w.
        grad_norm_before: ‖g‖ at w, loss / parameter.
        distance: a stationary point lies within it of w, parameter units; None where none was
            found.
        relative_distance: the root mean square, over the filters, of how far each has moved in
            units of its own length; None where none was found or there are no filters.
        loss_at: where the search ended.
        grad_norm_at: ‖g‖ where the search ended, loss / parameter.
        lambda_min: a Rayleigh quotient at the lower end of the balanced Hessian where the search
            ended; None where it was not asked for.
        lambda_max: one at the upper end.
        lower_bound: no eigenvalue there is smaller, with the probability that the reason names;
            None where nothing bounds them.
        newton_share: ν = gᵀH₊⁻¹g / L where the search ended: 1 where a Newton step divides the loss
            by e, 2 where it lowers it as on a parabola of height 0; None where it was not a tail.
        in_float64: whether products were in float64, which then is no advice.
        rounds: rounds of the search.
        products: Hessian-vector products that it took.
        image_products: what all this cost, in images times vectors; None where there are no images.

    Example:
        >>> found = spectra.StationaryPoint("slope", "‖g‖ has a minimum of .04", 0.5, 1.0, 0.04)
        >>> found.sentence
        'No stationary point was found within 0.5: the loss goes on falling.'
    """

    name: str
    reason: str
    search_radius: float
    loss_before: float
    grad_norm_before: float
    distance: float | None = None
    relative_distance: float | None = None
    loss_at: float | None = None
    grad_norm_at: float | None = None
    lambda_min: float | None = None
    lambda_max: float | None = None
    lower_bound: float | None = None
    newton_share: float | None = field(default=None, metadata=WHEN_SET)
    in_float64: bool = field(default=False, metadata=WHEN_SET)
    rounds: int = 0
    products: int = 0
    image_products: float | None = None

    def __post_init__(self) -> None:
        if self.name not in STATIONARY_NAMES:
            raise InputError(
                f"a stationary point is one of {', '.join(STATIONARY_NAMES)}, got {self.name!r}"
            )

    @property
    def found(self) -> bool:
        """Whether there is a stationary point near by, whatever it is."""
        return self.name in (SADDLE, MINIMUM)

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        if self.name == SADDLE:
            return f"A saddle is {self._away}: the loss falls from it on both sides of a line."
        if self.name == MINIMUM:
            return f"A minimum is {self._away}, as far as its curvature is bounded."
        if self.name == TAIL:
            return (
                f"The tail of a slope: {self._newton_steps}, and no stationary point is within "
                f"{self.search_radius:.3g}."
            )
        if self.name == SLOPE:
            return (
                f"No stationary point was found within {self.search_radius:.3g}: the loss goes on "
                "falling."
            )
        return f"Undecided whether a stationary point is near: {self.reason}."

    @property
    def next_step(self) -> str:
        """What would change the verdict."""
        if self.name == SADDLE:
            return "Training that follows the direction of negative curvature leaves it."
        if self.name == MINIMUM:
            return "Another weight decay or loss moves it; nothing near it lowers this one."
        if self.name == TAIL:
            return "Weight decay or label smoothing gives the loss a stationary point."
        if self.name == SLOPE:
            return "Train further, or search further away (--search-radius)."
        finer = "" if self.in_float64 else " --dtype float64,"
        return f"Search on: more --search-products,{finer} or a larger --search-radius."

    @property
    def _newton_steps(self) -> str:
        share = self.newton_share
        if share is None:
            return "Newton steps go on lowering the loss"
        if _ABOUT_E[0] <= share <= _ABOUT_E[1]:
            return "each Newton step divides the loss by about e"
        return f"Newton steps go on lowering the loss, ν = gᵀH⁻¹g / L is {share:.2g}"

    @property
    def _away(self) -> str:
        away = f"{self.distance:.3g} away" if self.distance is not None else "near by"
        if self.relative_distance is None:
            return away
        if self.relative_distance < 1:
            return f"{away} ({100 * self.relative_distance:.2g} % of the length of a filter)"
        return f"{away} ({self.relative_distance:.2g} times the length of a filter)"

    def scaled(self, factor: float) -> Self:
        """Return the same of the loss times ``factor`` > 0."""
        if not factor > 0:
            raise InputError(f"factor must be positive, got {factor}")

        def times(value: float | None) -> float | None:
            return None if value is None else value * factor

        return replace(
            self,
            loss_before=self.loss_before * factor,
            grad_norm_before=self.grad_norm_before * factor,
            loss_at=times(self.loss_at),
            grad_norm_at=times(self.grad_norm_at),
            lambda_min=times(self.lambda_min),
            lambda_max=times(self.lambda_max),
            lower_bound=times(self.lower_bound),
        )
