"""The house style: colours by role, sizes for print, and files with the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.style.names import class_number
from spectra import InputError
from spectra.system.files.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: one column, and the full text width, of a two-column paper. Print at 100 %.
COLUMN_WIDTH = 3.4
TEXT_WIDTH = 6.75
FONT_SIZE = 8
FORMATS = ("png", "pdf", "svg")
# What is written where nobody says.
WRITTEN_FORMATS = ("png", "pdf")

# Okabe & Ito 2008, "Color Universal Design": told apart under every common colour blindness, and
# of distinct lightness in print without colour.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY_BLUE, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"
OKABE_ITO = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK, YELLOW)
ROLE_COLOURS = {"head": BLUE, "mid": ORANGE, "tail": VERMILION, "overall": BLACK}
# Of captions and published values; of lines at a number that guides the eye; between columns.
MUTED, GUIDE, DIVIDER = "#555555", "#999999", "#bbbbbb"
_ROLE_LINES = {
    "head": ("-", "o"),
    "mid": ((0, (4, 1.5)), "s"),
    "tail": ((0, (6, 1.5, 1.2, 1.5)), "^"),
    "overall": ((0, (1.2, 1.2)), "D"),
}
_LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">")

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
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
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


def label_styles(labels: Sequence[str], sizes: Mapping[str, int]) -> dict[str, SeriesStyle]:
    """Give each class or group its style.

    ``head``, ``mid``, ``tail`` and ``overall`` have colours of their own. The others are classes:
    they run from dark blue (most images) to orange (fewest), lightness rising all the way.

    Args:
        labels: what is drawn, each once.
        sizes: number of images of each label; those that are missing count as 0.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    classes = [x for x in labels if x not in ROLE_COLOURS]
    classes.sort(key=lambda x: (-sizes.get(x, 0), class_number(x), x))
    styles = {x: SeriesStyle(ROLE_COLOURS[x], *_ROLE_LINES[x]) for x in labels if x in ROLE_COLOURS}
    ramp = colormaps["plasma"]
    for k, label in enumerate(classes):
        # Beyond 0.8 the ramp turns yellow, which paper does not show.
        place = 0.8 * k / (len(classes) - 1) if len(classes) > 1 else 0.0
        line, marker = _LINES[k % len(_LINES)], _MARKERS[k % len(_MARKERS)]
        styles[label] = SeriesStyle(to_hex(ramp(place)), line, marker)
    return styles


def series_styles(names: Sequence[str]) -> dict[str, SeriesStyle]:
    """Give each of several things without an order (recipes, say) its style."""
    return {
        name: SeriesStyle(
            OKABE_ITO[k % len(OKABE_ITO)], _LINES[k % len(_LINES)], _MARKERS[k % len(_MARKERS)]
        )
        for k, name in enumerate(names)
    }


def save_figure(
    fig: Figure, path: Path | str, formats: Sequence[str] = WRITTEN_FORMATS
) -> list[Path]:
    """Write ``fig``, each file atomically; the same figure gives the same bytes.

    Args:
        fig: a figure of this package, or any other.
        path: a path that ends in .png, .pdf or .svg is written in that format alone; to any other
            (``curves``, ``if0.01``) the suffix of each format is added.
        formats: of ``png``, ``pdf``, ``svg``.

    Returns:
        The files written.

    Raises:
        InputError: a format is unknown.
    """
    path = Path(path)
    suffix = path.suffix[1:].lower()
    if suffix in FORMATS:
        targets = {suffix: path}
    elif suffix in fig.canvas.get_supported_filetypes():
        raise InputError(f"{path} asks for format {suffix}; expected one of {', '.join(FORMATS)}")
    else:
        targets = {name: path.with_name(f"{path.name}.{name}") for name in formats}
    for name, target in targets.items():
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}; expected one of {', '.join(FORMATS)}")
        content = io.BytesIO()
        with house_style():
            fig.savefig(content, format=name, metadata=_METADATA[name])
        write_atomically(target, content.getvalue())
    return list(targets.values())
