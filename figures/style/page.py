"""A figure's page: the space for panels, and below it a legend and a caption that never overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from figures.style.colours import FONT_SIZE, MUTED
from figures.style.names import drawn_caption, drawn_title

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_GAP = 0.06  # inches between panels, legend, caption and edge


def new_page(width: float, height: float) -> Figure:
    """Return an empty figure of ``width`` x ``height`` inches, free of pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def finish_page(
    fig: Figure, *, caption: str = "", legend: Sequence[Artist] = (), title: str | None = None
) -> Figure:
    """Put title, legend and caption around the panels and fix the layout.

    The page grows by what they need, so that panels keep their size.

    Args:
        fig: from :func:`new_page`, its panels drawn.
        caption: one paragraph; it is broken to the width of the page.
        legend: handles with labels, laid out in as many columns as fit.
        title: one line above the panels.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width, height = fig.get_size_inches()
    text = fig.text(0, 0, "", color=MUTED, va="bottom", ha="left", linespacing=1.25)
    text.set_text(_broken(text, drawn_caption(caption), (width - 2 * _GAP) * fig.dpi))
    key = _widest_legend(fig, legend, (width - 2 * _GAP) * fig.dpi) if legend else None
    text_height = _inches(text, fig) if caption else 0.0
    key_height = _inches(key, fig) if key is not None else 0.0
    below = text_height + key_height + _GAP * ((caption != "") + (key is not None))
    above = FONT_SIZE * 1.8 / 72 if title else 0.0
    total = height + below + above
    fig.set_size_inches(width, total)
    text.set_position((_GAP / width, _GAP / total))
    if key is not None:
        key.set_bbox_to_anchor((0.5, (below - key_height) / total), transform=fig.transFigure)
    if title:
        fig.text(
            _GAP / width,
            1 - _GAP / total,
            drawn_title(title),
            va="top",
            fontsize=FONT_SIZE + 1,
            weight="bold",
        )
    engine = ConstrainedLayoutEngine(
        rect=(0, below / total, 1, height / total), h_pad=_GAP, w_pad=_GAP
    )
    fig.set_layout_engine(engine)
    fig.draw_without_rendering()
    fig.set_layout_engine("none")
    return fig


def _inches(artist: Any, fig: Figure) -> float:
    return float(artist.get_window_extent().height) / fig.dpi


def _broken(text: Any, caption: str, pixels: float) -> str:
    """Break ``caption`` between words where the line would pass ``pixels``."""
    lines = [""]
    for word in caption.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        text.set_text(longer)
        if lines[-1] and text.get_window_extent().width > pixels:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _widest_legend(fig: Figure, handles: Sequence[Artist], pixels: float) -> Any:
    """Return the legend with the most columns that fits in ``pixels``."""
    for columns in range(len(handles), 0, -1):
        key = fig.legend(
            handles=list(handles), loc="lower center", ncols=columns, borderpad=0, borderaxespad=0
        )
        fig.draw_without_rendering()
        if columns == 1 or key.get_window_extent().width <= pixels:
            return key
        key.remove()
    return None
