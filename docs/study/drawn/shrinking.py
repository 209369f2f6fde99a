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

# Ours: with 64, colours that cover few pixels are merged with others.
COLOURS = 255


def save_small(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG with a palette; the same figure gives the same bytes.

    Args:
        figure: any.
        path: of the file.
    """
    drawn, kept = io.BytesIO(), io.BytesIO()
    with house_style():
        figure.savefig(drawn, format="png", metadata={"Software": None})
    with Image.open(drawn) as whole:
        small = whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(kept, format="PNG", optimize=True)
    write_atomically(path, kept.getvalue())
    return path
