"""One control: a loss, a point w to search from, and what is known to be near by."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from known_functions import KnownFunction
from stationary_bases import FLAT, Base
from torch import Tensor

from spectra import make_generator

DEVELOPMENT = "development"
HELD_OUT = "held-out"
RADIUS = 0.1  # r: SAM's ball, and what `spectra analyze` takes where nothing else is known
SEARCH_RADIUS = 5 * RADIUS
# Displacements of a known point, in units of r: within SAM's ball, and beyond it.
NEAR, FAR = (0.01, 0.5), (0.5, 2.0)


@dataclass(frozen=True)
class Control:
    """A point whose surroundings are known.

    Attributes:
        name: tells it from all others, and seeds what is drawn for it.
        family: the row of the table that it belongs to.
        function: the loss.
        start: w, where the search begins.
        truth: ``saddle``, ``minimum``, ``none`` (no stationary point within the search radius), or
            ``flat``: a stationary point whose lowest eigenvalue is under the rule's resolution.
        distance: of the stationary point that is known, parameter units; None where there is none.
        point: that point, where the control was made by leaving it.
        kinked: the activation is ReLU.
        lowest_share: λmin / max|λ| there.
    """

    name: str
    family: str
    function: KnownFunction
    start: Tensor
    truth: str
    distance: float | None = None
    kinked: bool = False
    lowest_share: float | None = None
    point: Tensor | None = None


def drawn(name: str) -> torch.Generator:
    """Return the generator of everything that is drawn for the control or base of this name."""
    return make_generator(0, "control", name)


def direction(base: Base, kind: str, generator: torch.Generator) -> Tensor:
    """Return a unit vector in which to leave a stationary point.

    Args:
        kind: ``random``; ``stiff``: in the three directions of largest curvature; ``valley``: in
            those of a positive curvature between .1 and 10 % of the largest, along the floor of a
            valley that leads to the point; ``wall``: a valley, and a tenth as far up its wall;
            ``behind``: along the lowest curvature, the way on which training leaves a saddle.
    """
    coefficients = torch.randn(base.point.shape, generator=generator, dtype=torch.float64)
    shares = base.eigenvalues / base.eigenvalues.abs().max()
    order = torch.arange(len(shares))
    stiff = order >= len(shares) - 3
    floor = (shares > 1e-3) & (shares < 0.1)
    chosen = {
        "random": torch.ones_like(stiff),
        "stiff": stiff,
        "valley": floor,
        "wall": floor,
        "behind": order == 0,
    }[kind]
    one = torch.where(chosen, coefficients, 0.0)
    one = one / one.norm()
    if kind == "wall":
        up = torch.where(stiff, coefficients, 0.0)
        one = one + 0.1 * up / up.norm()
        one = one / one.norm()
    return base.vectors @ one


def displaced(
    base: Base,
    name: str,
    family: str,
    kinds: Sequence[str],
    *,
    between: tuple[float, float] = NEAR,
    kinked: bool = False,
    own_rows: bool = False,
) -> list[Control]:
    """Return controls that lie near ``base``, one for each kind of direction.

    Distances are drawn log-uniformly ``between`` multiples of r.

    Args:
        own_rows: each direction is a row of the table.
    """
    found = []
    for kind in kinds:
        one = f"{name}, {kind}, {between[1]:g} r"
        generator = drawn(one)
        low, high = (torch.tensor(x * RADIUS).log() for x in between)
        distance = float((low + (high - low) * torch.rand(1, generator=generator)).exp())
        start = base.point + distance * direction(base, kind, generator)
        found.append(
            Control(
                name=one,
                family=f"{family}, {kind}" if own_rows else family,
                function=base.function,
                start=start,
                truth=base.truth,
                distance=distance,
                kinked=kinked,
                lowest_share=base.lowest_share,
                point=base.point,
            )
        )
    return found


def clearly(base: Base | None, truth: str) -> bool:
    """Return whether a base is what it shall be by twice the rule's resolution."""
    return base is not None and base.truth == truth and abs(base.lowest_share) > 2 * FLAT
