"""Quadratics, whose one stationary point is where Newton's step leads, and folds."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from control import SEARCH_RADIUS, Control, drawn
from known_functions import Quadratic
from torch import Tensor

# Which eigenvalues the linear term is on, the lowest share of the spectrum, and how far away that
# puts the stationary point, in units of R; None: there is none.
KINDS = (
    ("saddle, stiff", -0.01, 0.02),
    ("saddle, valley", -0.01, 0.2),
    ("saddle, negative", -0.01, 0.2),
    ("saddle, negative", -0.001, 0.4),
    ("saddle, negative", -0.01, 6.0),
    ("saddle, null", -0.01, None),
    ("minimum, stiff", 1e-3, 0.02),
    ("minimum, valley", 1e-3, 0.3),
    ("minimum, lowest", 1e-3, 0.4),
    ("minimum, lowest", 1e-3, 20.0),
    ("minimum, null", 0.0, None),
)


def spectrum(size: int, lowest: float, null: bool, generator: torch.Generator) -> Tensor:
    """Return eigenvalues: a bulk over three decades, three outliers, the lowest, perhaps zeros."""
    values = 10 ** (-1 - 1.9 * torch.rand(size, generator=generator, dtype=torch.float64))
    values[-3:] = torch.tensor([0.3, 0.6, 1.0], dtype=torch.float64)
    values[0] = lowest
    if null:
        values[1 : size // 4] = 0.0
    return values


def quadratics(half: str, size: int = 100) -> Iterator[Control]:
    """Yield one of each kind, at w = 0."""
    for index, (kind, lowest, away) in enumerate(KINDS):
        name = f"{half}, quadratic {index}, P = {size}"
        generator = drawn(name)
        values = spectrum(size, lowest, away is None, generator)
        place = kind.split(", ")[1]
        order = torch.arange(size)
        chosen = {
            "stiff": order >= size - 3,
            "valley": (values > 2e-3) & (values < 0.1),
            "negative": order == 0,
            "lowest": order == 0,
            "null": values == 0,
        }[place]
        coefficients = torch.randn(size, generator=generator, dtype=torch.float64)
        newton = torch.where(chosen, coefficients, 0.0)
        newton = newton / newton.norm() * SEARCH_RADIUS * (away or 0.0)
        slope = -values * newton
        if away is None:
            # A slope of .01 where nothing bends, beside a short step in the stiff directions.
            stiff = torch.where(order >= size - 3, coefficients, 0.0)
            slope = 0.01 * (chosen * coefficients) / (chosen * coefficients).norm() + 0.02 * stiff
        mirror = torch.randn(size, generator=generator, dtype=torch.float64)
        mirror = mirror / mirror.norm()
        function = Quadratic(values, mirror, slope - 2 * mirror * (mirror @ slope))
        within = away is not None and away < 1
        truth = kind.split(", ")[0] if within else "none"
        family = f"quadratic, {truth}" if within else "quadratic, none within R"
        gone = SEARCH_RADIUS * away if within and away is not None else None
        yield Control(
            name,
            family,
            function,
            torch.zeros_like(values),
            truth,
            gone,
            lowest_share=lowest,
            point=function.turned(newton) if within else None,
        )


def three_of_three(half: str) -> Iterator[Control]:
    """Yield three quadratics of three variables, on which a ratio of ‖g‖ and λmin goes wrong."""
    cases = (
        ((100.0, -1.0, 0.5), (1.0, 0.0, 0.0), "saddle", 0.01),  # and not a slope
        ((100.0, -1.0, 0.0), (0.0, 0.0, 0.04), "none", None),  # and not a saddle
        ((100.0, 1e-6, 1.0), (0.0, 0.009, 0.0), "none", None),  # a minimum, 9,000 away
    )
    for values, slope, truth, gone in cases:
        v, tilt = (torch.tensor(x, dtype=torch.float64) for x in (values, slope))
        function = Quadratic(v, torch.zeros(3, dtype=torch.float64), tilt)
        family = f"quadratic, {truth}" if gone else "quadratic, none within R"
        name = f"{half}, quadratic {values}"
        yield Control(name, family, function, torch.zeros_like(v), truth, gone)


# ‖the part of the gradient that no step removes‖ / ‖g‖: a rule that takes a gradient for gone when
# it has fallen by 1e-6 must not take the last two for gone.
FAINT = (1e-3, 1e-5, 1e-7, 1e-9)


def faint_slopes(half: str, size: int = 60) -> Iterator[Control]:
    """Yield slopes that are all but hidden: a little of the gradient is where nothing bends."""
    for (lowest, low), share in product(((-0.01, 0.1), (-0.01, 1e-3), (2e-3, 1e-3)), FAINT):
        name = f"{half}, faint slope {lowest:g} {low:g} {share:g}"
        generator = drawn(name)
        values = spectrum(size, lowest, False, generator)
        values[5] = 0.0
        slope = torch.where(values > low, torch.randn(size, generator=generator).double(), 0.0)
        slope = 0.05 * slope / slope.norm()
        slope[5] = share * 0.05
        mirror = torch.randn(size, generator=generator, dtype=torch.float64)
        mirror = mirror / mirror.norm()
        function = Quadratic(values, mirror, slope - 2 * mirror * (mirror @ slope))
        start = torch.zeros_like(values)
        yield Control(name, "slope, faint quadratic", function, start, "none")


@dataclass(frozen=True)
class Fold:
    """A quadratic but for one direction, along which it is t³/3 + gap t.

    With a positive gap there is no stationary point, only a gradient as small as the gap; with a
    negative one there are two, √-gap to the left and right of t = 0.
    """

    quadratic: Quadratic
    along: Tensor
    gap: float

    @property
    def size(self) -> int:
        return self.quadratic.size

    def value(self, w: Tensor) -> Tensor:
        t = self.along @ w
        return self.quadratic.value(w) + t**3 / 3 + self.gap * t

    def gradient(self, w: Tensor) -> Tensor:
        t = self.along @ w
        return self.quadratic.gradient(w) + (t**2 + self.gap) * self.along

    def product(self, w: Tensor, v: Tensor) -> Tensor:
        return self.quadratic.product(w, v) + 2 * (self.along @ w) * (self.along @ v) * self.along

    def dense(self, w: Tensor) -> Tensor:
        bend = 2 * (self.along @ w)
        return self.quadratic.dense(w) + bend * torch.outer(self.along, self.along)


def folds(half: str, size: int = 60) -> Iterator[Control]:
    """Yield points .15 before a fold, and .1 beside two points that are about to meet."""
    for lowest in (-0.01, 2e-3):
        for gap in (1e-2, 1e-4, 1e-6, 1e-8, -1e-2, -1e-4):
            name = f"{half}, fold {lowest:g} {gap:g}"
            generator = drawn(name)
            values = spectrum(size, lowest, False, generator)
            values[5] = 0.0
            mirror = torch.randn(size, generator=generator, dtype=torch.float64)
            mirror = mirror / mirror.norm()
            plain = Quadratic(values, mirror, torch.zeros_like(values))
            along = plain.turned(torch.eye(size, dtype=torch.float64)[5])
            function = Fold(plain, along, gap)
            place = max(-gap, 0.0) ** 0.5
            aside = torch.randn(size, generator=generator, dtype=torch.float64)
            aside = aside - along * (along @ aside)
            start = (place + 0.15) * along + 0.02 * aside / aside.norm()
            if gap > 0:
                yield Control(name, "slope, past a fold", function, start, "none")
                continue
            # The point ahead; the other one, 2√-gap behind it, is a saddle.
            truth = "saddle" if lowest < 0 else "minimum"
            gone = float((start - place * along).norm())
            yield Control(name, "beside a fold", function, start, truth, gone)


QUADRATICS = (quadratics, three_of_three, faint_slopes, folds)
