"""Quadratics: their one stationary point is where Newton's step leads, if anywhere."""

from collections.abc import Iterator

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
        yield Control(name, family, function, torch.zeros_like(values), truth, gone)


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
