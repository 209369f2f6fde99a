"""The house style: colours, lines and markers, and sizes for print."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# Inches: one column, and the full text width, of a two-column paper. Print at 100 %.
COLUMN_WIDTH = 3.4
TEXT_WIDTH = 6.75
FONT_SIZE = 8

# Okabe & Ito 2008, "Color Universal Design": told apart under every common colour blindness, and
# of distinct lightness in print without colour.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY_BLUE, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"
OKABE_ITO = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK, YELLOW)
# Of captions and published values; of lines at a number that guides the eye; between columns.
MUTED, GUIDE, DIVIDER = "#555555", "#999999", "#bbbbbb"
LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">")

# Typed loosely: matplotlib lists its keys as literals from 3.11 on.
_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "legend.fontsize": FONT_SIZE,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "legend.columnspacing": 1.4,
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.hashsalt": "hessian-spectra",
}


@dataclass(frozen=True)
class SeriesStyle:
    """How one series is drawn; colour, line and marker each tell it from its neighbours."""

    colour: str
    line: Any
    marker: str

    def drawing(self) -> dict[str, Any]:
        """Return the keywords of ``Axes.plot``."""
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw under the house's settings, whatever the user's matplotlibrc says, then restore it."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes, which say so themselves.
        for told in ("Glyph .* missing from", "Matplotlib currently does not support"):
            warnings.filterwarnings("ignore", message=told)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def series_styles(names: Sequence[str]) -> dict[str, SeriesStyle]:
    """Give each of several things without an order (recipes, say) its style."""
    return {
        name: SeriesStyle(
            OKABE_ITO[k % len(OKABE_ITO)], LINES[k % len(LINES)], MARKERS[k % len(MARKERS)]
        )
        for k, name in enumerate(names)
    }
