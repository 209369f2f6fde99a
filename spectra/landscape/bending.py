"""What negative curvature does for a loss here: whether it lasts, and what it adds to a step."""

from dataclasses import dataclass, replace
from typing import Self

from spectra.errors import InputError

# Ours: within this the curvature of the true loss is still what it is at the point. Between its
# ends a step along v_min is off by no more than a factor of √2 in length.
LASTS = (0.5, 2.0)
# Ours: a quadratic model that is off by more than this factor at its own step is not believed.
BELIEVED = 2.0
# Ours: of the loss; a decrease of less than a millionth is none, whatever else is uncertain.
NOTHING = 1e-6
# Ours: nor one whose share of bending is off by more than a tenth of the decrease.
SHARE_BELIEVED = 0.1


@dataclass(frozen=True)
class Bending:
    """What a step of length at most r can remove of a loss, and how much of it is bending.

    Two steps are compared: the best one by the quadratic model of the loss, and the best one by
    that model with its negative curvature cut off. Both are then taken, and the true loss says what
    they remove. Their decreases are relative to |loss|, and None where that is 0.

    Attributes:
        radius: r, parameter units.
        loss: at w.
        secants: (t, ratio) for rising t up to r: the curvature of the true loss along v_min between
            -t and t, over that at the point; empty where nothing bends down.
        predicted_with: what the model promises, negative curvature included.
        predicted_without: what it promises with that cut off.
        lowered_with: what the true loss loses at the first step.
        lowered_without: what it loses at the second.
        share: of the true decrease, that is there because of negative curvature, from 0 to 1.
        steps: products that the two steps took.
        converged: both decreases are known to 2 %.

    Example:
        >>> found = spectra.Bending(
        ...     radius=0.1, loss=0.02, secants=((0.1, 0.2),), predicted_with=0.7,
        ...     predicted_without=0.62, lowered_with=0.64, lowered_without=0.6, share=0.06,
        ... )
        >>> print(found.sentence)
        Within 0.1 a step can lower this loss by at least 64 %; 6 % of that comes from bending.
        The curvature at the point is a kink: at 0.1 it is 20 % of that.
    """

    radius: float
    loss: float
    secants: tuple[tuple[float, float], ...]
    predicted_with: float | None
    predicted_without: float | None
    lowered_with: float | None
    lowered_without: float | None
    share: float
    steps: int = 0
    converged: bool = True

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise InputError(f"radius must be positive, got {self.radius}")
        if not 0 <= self.share <= 1:
            raise InputError(f"share must lie between 0 and 1, got {self.share}")

    @property
    def secant_over_pointwise(self) -> float | None:
        """The curvature along v_min between -r and r, over that at the point."""
        return self.secants[-1][1] if self.secants else None

    @property
    def kinked(self) -> bool:
        """Whether the curvature at the point is not that of the loss within r."""
        ratio = self.secant_over_pointwise
        return ratio is not None and not LASTS[0] <= ratio <= LASTS[1]

    @property
    def predicted_share(self) -> float | None:
        """What the model says for ``share``; None where it promises nothing."""
        if not self.predicted_with or self.predicted_without is None:
            return None
        return 1 - self.predicted_without / self.predicted_with

    @property
    def believed(self) -> bool:
        """Whether model and true loss agree on both decreases and on the share."""
        promised = self.predicted_share
        if promised is not None and abs(promised - self.share) > SHARE_BELIEVED:
            return False
        pairs = (
            (self.predicted_with, self.lowered_with),
            (self.predicted_without, self.lowered_without),
        )
        return all(
            promised is None
            or kept is None
            or max(promised, kept) < NOTHING
            or _within(kept, promised, BELIEVED)
            for promised, kept in pairs
        )

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        said = [self._decrease()]
        if not self.believed and self.predicted_with is not None:
            said.append(self._promise(self.predicted_with))
        if self.kinked and self.secant_over_pointwise is not None:
            said.append(self._curvature(self.secant_over_pointwise))
        if not self.converged:
            said.append("These are the best steps of the few products made, not of all.")
        return " ".join(said)

    @property
    def next_step(self) -> str:
        """What would change the answer."""
        if not self.converged:
            return "More products for the two steps, as spectra.measure_bending takes, settle it."
        lasting = [t for t, ratio in self.secants if LASTS[0] <= ratio <= LASTS[1]]
        if self.kinked and lasting:
            return f"--radius {lasting[-1]:.2g}, up to which the curvature at the point lasts."
        if self.kinked:
            return "Smooth activations, or a smaller --radius, where no kink is crossed."
        if not self.believed:
            return "A smaller --radius, within which the loss is close to its quadratic model."
        if self.secants and self.share < 0.5:
            return "A larger --radius: what bending adds grows with its square."
        if self.secants:
            return (
                "A smaller --radius: bending's part falls with its square, the gradient's with it."
            )
        if self.lowered_with is not None and self.lowered_with < NOTHING:
            return "Nothing within this radius; a larger --radius looks further."
        return "A larger --radius: the gradient may lower the loss further."

    def scaled(self, factor: float) -> Self:
        """Return the same of the loss times ``factor`` > 0."""
        if not factor > 0:
            raise InputError(f"factor must be positive, got {factor}")
        return replace(self, loss=self.loss * factor)

    def _decrease(self) -> str:
        within = f"Within {self.radius:.3g}"
        if self.lowered_with is None:
            if not self.share:
                return f"This loss is 0 here; {within.lower()} bending lowers it no further."
            return f"{within} a step can lower this loss, which is 0 here; {_part(self.share)}."
        if self.lowered_with <= 0:
            return f"{within} no step that was tried lowers this loss."
        found = _percent(self.lowered_with)
        at_least = "" if found.startswith(("over", "less")) else "at least "
        who = "the gradient" if self.share < 0.005 else "a step"
        return f"{within} {who} can lower this loss by {at_least}{found}; {_part(self.share)}."

    def _promise(self, decrease: float) -> str:
        share = "" if self.predicted_share is None else f"; {_part(self.predicted_share)}"
        lost = _percent(decrease) if decrease <= 1 else "more than all of it"
        return (
            f"A parabola with the slope and curvature of this point would lose {lost}{share}; the "
            "loss is no such parabola within this radius."
        )

    def _curvature(self, ratio: float) -> str:
        near = self.secants[0][1]
        if LASTS[0] <= near <= LASTS[1]:
            cause = "The curvature at the point does not last"
        else:
            cause = "The curvature at the point is a kink"
        if ratio <= 0:
            return f"{cause}: by {self.radius:.3g} the loss bends up."
        much = f"{_percent(ratio)} of" if ratio < 1 else f"{ratio:.2g} times"
        return f"{cause}: at {self.radius:.3g} it is {much} that."


def _within(one: float, other: float, factor: float) -> bool:
    """Say whether two decreases are within a factor of each other."""
    if one <= 0 or other <= 0:
        return one == other
    return 1 / factor <= one / other <= factor


def _percent(part: float) -> str:
    if part < 0.005:
        return "less than 1 %"
    if 0.995 <= part < 1:
        return "over 99 %"
    return f"{100 * part:.0f} %"


def _part(share: float) -> str:
    """Say what part of a decrease comes from bending."""
    if share < 0.005:
        return "bending adds nothing"
    if 0.45 <= share <= 0.55:
        return "half of it comes from bending"
    if share > 0.995:
        return "all of it comes from bending"
    return f"{_percent(share)} of that comes from bending"
