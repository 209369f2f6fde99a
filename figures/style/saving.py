"""Figures as files: written whole, and of the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.style.sheet import house_style
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
        The files written. For a figure that was drawn for paper its caption is one of them, with
        the suffix ``.txt``.

    Raises:
        InputError: a format is unknown.
    """
    path = Path(path)
    suffix = path.suffix[1:].lower()
    if suffix in FORMATS:
        return save_pages([fig], path.parent, path.stem, (suffix,))
    if suffix in fig.canvas.get_supported_filetypes():
        raise InputError(f"{path} asks for format {suffix}; expected one of {', '.join(FORMATS)}")
    return save_pages([fig], path.parent, path.name, formats)


def save_pages(
    pages: Sequence[Figure], folder: Path, name: str, formats: Sequence[str] = WRITTEN_FORMATS
) -> list[Path]:
    """Write the pages of a figure: one PDF file, and a PNG or SVG file for each page.

    Args:
        pages: one at least.
        folder: where the files go.
        name: of the files: ``name.pdf``, ``name.png``, ``name-2.png`` ...; a dot in it is kept.
        formats: of ``png``, ``pdf``, ``svg``.

    Returns:
        The files written; see :func:`save_figure`.

    Raises:
        InputError: a format is unknown.
    """
    written = []
    for wanted in formats:
        if wanted not in FORMATS:
            raise InputError(f"unknown format {wanted!r}; expected one of {', '.join(FORMATS)}")
        files = [_pdf(pages)] if wanted == "pdf" else [_drawn(page, wanted) for page in pages]
        for k, content in enumerate(files):
            written.append(folder / f"{name}{f'-{k + 1}' * bool(k)}.{wanted}")
            write_atomically(written[-1], content)
    captions = dict.fromkeys(str(page.get_label()) for page in pages if page.get_label())
    if captions:
        written.append(folder / f"{name}.txt")
        write_atomically(written[-1], "".join(f"{text}\n" for text in captions).encode())
    return written


def _drawn(page: Figure, wanted: str) -> bytes:
    content = io.BytesIO()
    with house_style():
        page.savefig(content, format=wanted, metadata=_METADATA[wanted])
    return content.getvalue()


def _pdf(pages: Sequence[Figure]) -> bytes:
    from matplotlib.backends.backend_pdf import PdfPages

    content = io.BytesIO()
    with house_style(), PdfPages(content, metadata=_METADATA["pdf"]) as book:
        for page in pages:
            book.savefig(page)
    return content.getvalue()
