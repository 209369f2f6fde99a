"""Figures as PNG files of few bytes: a palette of colours instead of one for each pixel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from figures.style.sheet import house_style
from spectra.system.files.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Ours: pages show pictures some 850 pixels wide, on which 8 points are 14 pixels.
DOTS_PER_INCH = 130
# Ours, chosen to cover all that occur: with them no pixel of the study's pictures is off by more
# than a tenth of the range. Median cut, Pillow's default, turns small marks brown.
COLOURS, CHOICE = 48, Image.Quantize.MAXCOVERAGE


def save_small(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG with a palette; the same figure gives the same bytes.

    Args:
        figure: any.
        path: of the file.
    """
    drawn, kept = io.BytesIO(), io.BytesIO()
    with house_style():
        figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    with Image.open(drawn) as whole:
        small = whole.convert("RGB").quantize(COLOURS, CHOICE, dither=Image.Dither.NONE)
    small.save(kept, format="PNG", optimize=True)
    write_atomically(path, kept.getvalue())
    return path
