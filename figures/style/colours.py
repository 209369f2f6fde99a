"""Colours, lines and markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Okabe & Ito 2008, "Color Universal Design": told apart under every common colour blindness, and
# of distinct lightness in print without colour.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY_BLUE, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"
OKABE_ITO = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK, YELLOW)
# Of captions and published values; of lines at a number that guides the eye; between columns.
MUTED, GUIDE, DIVIDER = "#555555", "#999999", "#bbbbbb"
LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">")


@dataclass(frozen=True)
class SeriesStyle:
    """How one series is drawn; colour, line and marker each tell it from its neighbours."""

    colour: str
    line: Any
    marker: str

    def drawing(self) -> dict[str, Any]:
        """Return the keywords of ``Axes.plot``."""
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker}


def series_styles(names: Sequence[str]) -> dict[str, SeriesStyle]:
    """Give each of several things without an order (recipes, say) its style."""
    return {
        name: SeriesStyle(
            OKABE_ITO[k % len(OKABE_ITO)], LINES[k % len(LINES)], MARKERS[k % len(MARKERS)]
        )
        for k, name in enumerate(names)
    }
