"""What SAM does to the step along v_min of a loss: the numbers, and a sentence for people."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy.special import stdtrit

from spectra.findings.sam.slope_change import (
    LEAST_CHANGE,
    OPEN,
    STRENGTHENS,
    UNCHANGED,
    WEAKENS,
    SlopeChange,
)
from spectra.findings.sharpness import Amplification
from spectra.findings.verdict import TAU
from spectra.krylov.quadrature.intervals import LEVEL
from spectra.system.files.writing import WHEN_SET

# Ours: a mean square that changes by less than a tenth needs no further words.
SMALL_CHANGE = 0.1
# Ours: of |λ|; a residual of a tenth is a vector that is off by about a tenth of its length.
LARGEST_RESIDUAL = 0.1
# Ours: beyond so many times as many draws, more of them are no advice.
_MOST_TIMES = 100


@dataclass(frozen=True)
class SamEffect:
    """What SAM at one ρ does to the step along v_min of one loss.

    Attributes:
        label: of the loss.
        rho: ρ, parameter units.
        curvature: λ = vᵀHv.
        grad_norm: ‖g‖.
        predicted: 1 + ρλ/‖g‖, the factor to first order in ρ; None where g is 0.
        own: with the loss's own gradient, over its images.
        batches: with the gradients of mini-batches of all images; None where none were drawn, and
            where a batch is all of the images: all would be the same one.
        squares: what the mean square over those batches becomes; None likewise.
        batch_size: images of a batch; without ``batches``, all that there are.
        residual: ‖Hv − λv‖; None where it is not known.
        growth: ‖g_SAM‖/‖g‖: what becomes of the whole gradient; None where it was not measured.
        lambda_max: the other end, beside which λ is large or small; None where it is not known.
    """

    label: str
    rho: float
    curvature: float
    grad_norm: float
    predicted: float | None
    own: SlopeChange
    batches: SlopeChange | None = None
    squares: Amplification | None = None
    batch_size: int | None = None
    residual: float | None = None
    growth: float | None = None
    lambda_max: float | None = field(default=None, metadata=WHEN_SET)

    @property
    def name(self) -> str:
        """What SAM does to the step of the loss's own gradient, see :attr:`SlopeChange.name`.

        Open where there is no negative curvature, and so no step along it.
        """
        return self.own.name if self.bends_down else OPEN

    @property
    def bends_down(self) -> bool:
        """Whether there is negative curvature to speak of, as a verdict has it by default."""
        return self.lambda_max is None or self.curvature < -TAU * max(self.lambda_max, 0.0)

    @property
    def along_an_eigenvector(self) -> bool:
        """Whether v is known well enough for an eigenvector, as far as its residual is known."""
        size = abs(self.curvature)
        if not self.bends_down:  # of which the residual is to be small beside what would count
            size = max(size, TAU * abs(self.lambda_max or 0.0))
        return self.residual is None or self.residual <= LARGEST_RESIDUAL * size

    @property
    def noise(self) -> float | None:
        """The part of the mean square of SAM's slopes over batches that is not their mean."""
        if self.batches is None:
            return None
        spread = self.batches.sam_error**2 * (self.batches.draws - 1)
        square = self.batches.sam**2 + spread
        # The square of a mean holds the square of its own error, which is noise too.
        return min(1.0, (spread + self.batches.sam_error**2) / square) if square else None

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        if self.bends_down:
            said = [self._of_own(), self._of_first_order(), self._of_batches()]
        else:
            said = [
                f"{self._title} has no negative curvature to speak of (λmin {self.curvature:.3g}, "
                f"λmax {self.lambda_max:.3g}), so there is no step along it."
            ]
        if not self.along_an_eigenvector:
            said.append(f"v_min is known to a residual of {self.residual:.2g} only.")
        return " ".join(part for part in said if part)

    @property
    def next_step(self) -> str:
        """What would change the answer, or settle it."""
        if not self.along_an_eigenvector:
            return "A smaller --tol or more --max-steps: v_min has not converged."
        if not self.bends_down:
            return "Another class, or other weights."
        if self.own.draws == 1:
            return "Ask of several classes together, such as tail: one image has no error."
        if self.own.factor is None:
            wanted = _times_more(self.own.plain, self.own.plain_error, self.own.draws)
            more = "Many more" if wanted is None else f"About {wanted} times as many"
            what = "settle it" if self.name == OPEN else "give a factor"
            return f"{more} images of this class would {what}; a larger --rho changes more."
        if self.name == OPEN:
            return "More images of this class, or a larger --rho, which changes more."
        batches = self.batches
        if batches is not None and batches.factor is None:
            wanted = _times_more(batches.plain, batches.plain_error, batches.draws)
            if wanted is not None:
                return f"About {wanted} times as many batches (--num-batches) would settle theirs."
        return "Another --rho."

    @property
    def _title(self) -> str:
        return f"class {self.label}" if self.label.isdigit() else self.label

    def _of_own(self) -> str:
        own, title = self.own, self._title
        before, after = self.slope(own.plain, own.plain_error), self.slope(own.sam, own.sam_error)
        goes = f"goes from {before} of ‖g‖ to {after}"
        if self.growth is not None and abs(self.growth - 1) > SMALL_CHANGE:
            goes += f", while the whole gradient becomes {_size(self.growth)} times as large"
        if own.draws == 1:
            return (
                f"{title}: at ρ {self.rho:.3g} the slope along v_min {goes}; of one image nobody "
                "can say how sure that is."
            )
        start = f"{title}: at ρ {self.rho:.3g} SAM"
        if own.name == OPEN:
            return (
                f"{title}: whether SAM at ρ {self.rho:.3g} strengthens or weakens the step along "
                f"v_min cannot be said: over these {own.draws} images the slope there {goes}; "
                "other images of the class may say the opposite."
            )
        if own.name == UNCHANGED:
            return f"{start} does not change the step along v_min by more than 1 %."
        by, sure = "", f"confidence {_sure(own.confidence or 0)}"
        if own.factor is not None:
            by = f" {_by(own.factor.estimate)}"
            sure += f"; 95 %: {_size(own.factor.lower)} to {_size(own.factor.upper)} times"
        turned = " and turns it round" if own.turned else ""
        said = f"{start} {own.name} the step along v_min{by}{turned} ({sure}): the slope {goes}"
        return f"{said}{'' if by else '; the first is not told from 0, so there is no factor'}."

    def _of_first_order(self) -> str:
        factor = self.own.factor
        if factor is None or self.predicted is None or self.name in (UNCHANGED, OPEN):
            return ""
        expected = f"1 + ρλ/‖g‖ = {self.predicted:.3g}"
        least, most = factor.lower * (1 - LEAST_CHANGE), factor.upper * (1 + LEAST_CHANGE)
        if self.own.turned == (self.predicted < 0) and least <= abs(self.predicted) <= most:
            return f"First order in ρ says the same, {expected}."
        return f"First order in ρ says {expected}, which does not hold over a step of ρ."

    def _of_batches(self) -> str:
        batches, squares = self.batches, self.squares
        if batches is None and self.batch_size:
            return (
                f"A mini-batch is all of the {self.batch_size} images, so batches have no noise "
                "to tell of; a smaller --batch-size draws some."
            )
        if batches is None or squares is None or self.noise is None:
            return ""
        measured, size = squares.measured, f" of {self.batch_size}" if self.batch_size else ""
        said = f"Over mini-batches{size} of all images the mean square of the slope "
        if abs(measured.estimate - 1) <= SMALL_CHANGE:
            return f"{said}changes by {100 * abs(measured.estimate - 1):.2g} %."
        said += (
            f"becomes {_size(measured.estimate)} times as large (95 %: {_size(measured.lower)} to "
            f"{_size(measured.upper)}), {100 * self.noise:.0f} % of which is noise, and "
        )
        if batches.factor is not None and batches.name != OPEN:
            turned = ", turned round" if batches.turned else ""
            said += f"the mean {_size(batches.factor.estimate)} times as large{turned}."
        elif batches.name == OPEN:
            said += "what becomes of the mean cannot be said."
        else:
            said += f"SAM {batches.name} the mean, which without it is not told from 0."
        if not measured.lower <= squares.theorem <= measured.upper:
            said += (
                f" The theorem's (1+ρλ)² = {squares.theorem:.3g} is another thing: it takes v_min "
                "for an eigenvector of every batch, and the ascent for ρg."
            )
        return said

    def slope(self, value: float, error: float) -> str:
        """Return a slope and its error, where it has one, in percent of ‖g‖."""
        unit = self.grad_norm / 100 or 1.0
        around = f" ± {_size(error / unit)}" if error else ""
        return f"{_size(value / unit)}{around} %"


def sentence_over_radii(effects: Sequence[SamEffect]) -> str:
    """Say all about a loss at one ρ, and of the others whether SAM strengthens or weakens the step.

    The one is the first ρ of which anything can be said; else the first.
    """
    if not effects:
        return "What SAM does was not recorded; 'spectra theorem' or 'spectra sam' measures it."
    chosen = _chosen(effects)
    if len(effects) == 1 or not chosen.bends_down:
        return chosen.sentence
    by_name: dict[str, list[str]] = {}
    for effect in effects:
        by_name.setdefault(effect.name, []).append(f"{effect.rho:.3g}")
    words = {
        STRENGTHENS: "it strengthens the step", WEAKENS: "it weakens the step",
        UNCHANGED: "it changes nothing", OPEN: "neither can be said",
    }  # fmt: skip
    listed = "; ".join(f"at ρ {', '.join(rhos)} {words[name]}" for name, rhos in by_name.items())
    return f"{chosen.sentence} In all: {listed}."


def next_step_over_radii(effects: Sequence[SamEffect]) -> str:
    """Say what would change what :func:`sentence_over_radii` says; empty where it says nothing."""
    return f"What would change it: {_chosen(effects).next_step}" if effects else ""


def _chosen(effects: Sequence[SamEffect]) -> SamEffect:
    return next((effect for effect in effects if effect.name != OPEN), effects[0])


def _size(value: float) -> str:
    """Return two digits, without an exponent where people need none."""
    return f"{value:,.0f}" if 10 <= abs(value) < 1e6 else f"{value:.2g}"


def _by(factor: float) -> str:
    """Say a factor, near 1 as a percentage."""
    if 0.5 <= factor <= 1.5:
        return f"by {100 * abs(factor - 1):.2g} %"
    return f"{_size(factor)} times" if factor > 1 else f"to {factor:.2g} of it"


def _sure(confidence: float) -> str:
    return "over 99.9 %" if confidence > 0.999 else f"{100 * confidence:.3g} %"


def _times_more(mean: float, error: float, draws: int) -> int | None:
    """Return how many times as many draws would tell a mean from 0; None: too many to advise."""
    if not mean or not error:
        return None
    times = math.ceil((float(stdtrit(draws - 1, 0.5 + LEVEL / 2)) * error / abs(mean)) ** 2)
    return times if 1 < times <= _MOST_TIMES else None
