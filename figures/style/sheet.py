"""What a figure is drawn for: a screen, or one column or both of a paper."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ours: more panels on a page are too small to compare.
PANELS = 6
# Points. Ours: papers are set in 9 to 10 points, and publishers ask for 6 or more in figures.
SMALLEST_FONT = 6.5


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn for.

    Attributes:
        name: what users call it.
        inches: its width; on a screen, that of a figure of several panels.
        font_size: points, of nearly all text.
        line_width: points, of curves.
        across: panels beside each other at most.
        with_caption: whether the caption stands in the figure; else it is a text of its own, for
            the paper's caption.
    """

    name: str
    inches: float
    font_size: float
    line_width: float
    across: int
    with_caption: bool

    @property
    def small_font(self) -> float:
        """Points of what stands below an image."""
        return max(SMALLEST_FONT, self.font_size - 1)

    @property
    def narrow(self) -> bool:
        """Whether words are shortened."""
        return self.inches < SCREEN.inches

    def page(self, width: float, height: float) -> Figure:
        """Return an empty figure, free of pyplot's global state.

        Args:
            width: inches on a screen; on paper it is the column's.
            height: inches on a screen; on narrower paper lower, but by no more than a fifth.
        """
        from matplotlib.figure import Figure

        if not self.with_caption:
            height *= min(1.0, max(0.8, self.inches / width))
            width = self.inches
        return Figure(figsize=(width, height), layout="constrained")

    def panels(
        self, number: int, *, down: float, alone: float = 4.5, sharey: bool = True
    ) -> tuple[Figure, list[Axes], int]:
        """Return a figure of panels in lines, the panels, and how many are in a line.

        Args:
            number: of panels, six at most.
            down: inches of each on a screen, from top to bottom.
            alone: inches from left to right on a screen, of one that is alone.
            sharey: whether they have one axis.

        Raises:
            InputError: there are more than six.
        """
        if number > PANELS:
            raise InputError(f"a page holds {PANELS} panels, got {number}; draw fewer on each")
        columns = self.columns(number)
        lines = math.ceil(number / columns)
        fig = self.page(alone if number == 1 else SCREEN.inches, down * lines)
        panels = list(fig.subplots(lines, columns, sharey=sharey, squeeze=False).flat)
        for unused in panels[number:]:
            unused.remove()
        return fig, panels[:number], columns

    def columns(self, panels: int) -> int:
        """Return how many panels go beside each other, for lines of even length."""
        lines = math.ceil(panels / self.across)
        return math.ceil(panels / lines)


# Two-column papers: ICML and CVPR have columns of 3.25 in and text of 6.75 and 6.875 in, IEEE
# columns of 3.5 in and text of 7.16 in. The narrower fits into all at 100 %, so that fonts stay
# what they are. NeurIPS and ICLR have one column of 5.5 in: "single", or "double" at 81 %.
SCREEN = Sheet("screen", 6.75, 8, 1.2, 3, True)
SINGLE = Sheet("single", 3.25, 7, 1.0, 2, False)
DOUBLE = Sheet("double", 6.75, 8, 1.2, 3, False)
SHEETS = {sheet.name: sheet for sheet in (SCREEN, SINGLE, DOUBLE)}


def sheet_of(width: str) -> Sheet:
    """Return the sheet of a name.

    Raises:
        InputError: there is none.
    """
    if width not in SHEETS:
        raise InputError(f"width must be one of {', '.join(SHEETS)}, got {width!r}")
    return SHEETS[width]


@contextmanager
def house_style(width: str = SCREEN.name) -> Iterator[Sheet]:
    """Draw under the house's settings, whatever the user's matplotlibrc says, then restore it.

    Args:
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.

    Example:
        >>> from figures import house_style
        >>> with house_style("single") as sheet:
        ...     fig = sheet.page(4.5, 2.0)
        >>> fig.get_size_inches().tolist()
        [3.25, 1.6]
    """
    import matplotlib

    sheet = sheet_of(width)
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes, which say so themselves.
        for told in ("Glyph .* missing from", "Matplotlib currently does not support"):
            warnings.filterwarnings("ignore", message=told)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_settings(sheet))
        yield sheet


def _settings(sheet: Sheet) -> Any:  # typed loosely: matplotlib lists its keys as literals
    size = sheet.font_size
    return {
        "font.family": "DejaVu Sans",
        "font.size": size,
        "axes.titlesize": size,
        "axes.labelsize": size,
        "xtick.labelsize": size,
        "ytick.labelsize": size,
        "legend.fontsize": size,
        "figure.labelsize": size,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.7,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.5,
        "lines.linewidth": sheet.line_width,
        "lines.markersize": 0.56 * size,
        "legend.frameon": False,
        "legend.handlelength": 3.2,
        "legend.columnspacing": 1.4,
        "figure.dpi": 200,
        "savefig.dpi": 200,
        "pdf.fonttype": 42,
        "svg.hashsalt": "hessian-spectra",
    }
