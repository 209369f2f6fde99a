"""Figures as files: written whole, and of the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.style.colours import house_style
from spectra import InputError
from spectra.system.files.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
# What is written where nobody says.
WRITTEN_FORMATS = ("png", "pdf")
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
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
