"""A figure's page: header, panels, legend and caption, none of which reaches into another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from figures.style.colours import MUTED
from figures.style.names import LONGEST_CAPTION, drawn_caption, drawn_title
from figures.style.sheet import SCREEN, Sheet
from spectra.system.foreign_text import short_name

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_GAP = 0.06  # inches between panels, legend, caption and edge
_LINE = 1.5  # a line of a header, of its font
# What texts are, in their label, which is not drawn, and in no legend for its first letter.
_HEADER, _BELOW, _BESIDE = "_header", "_below all panels", "_beside all panels"


def finish_page(
    fig: Figure,
    *,
    sheet: Sheet = SCREEN,
    title: str | None = None,
    told: str = "",
    caption: str = "",
    legend: Sequence[Artist] = (),
) -> Figure:
    """Put header, legend and caption around the panels and fix the layout.

    The page grows by what they need, so that panels keep their size. What does not fit into a
    line of a header is left out, and an ellipsis says so. On a sheet for paper the caption is
    not drawn; it is the label of the figure, and :func:`figures.save_figure` writes it beside.

    Args:
        fig: from :meth:`Sheet.page`, its panels drawn.
        sheet: that it came from.
        title: the first line above the panels.
        told: the second: of what the figure is, in one line.
        caption: one paragraph; it is broken to the width of the page.
        legend: handles with labels, laid out in as many columns as fit.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width, height = fig.get_size_inches()
    inside = (width - 2 * _GAP) * fig.dpi
    text_height = 0.0
    text = fig.text(0, 0, "", color=MUTED, va="bottom", ha="left", linespacing=1.25)
    if caption and sheet.with_caption:
        text.set_text(_broken(text, drawn_caption(caption), inside))
        text_height = _inches(text, fig)
    else:
        text.remove()
        fig.set_label(short_name(caption, LONGEST_CAPTION))
    key = _widest_legend(fig, legend, inside) if legend else None
    key_height = _inches(key, fig) if key is not None else 0.0
    below = text_height + key_height + _GAP * ((text_height > 0) + (key is not None))
    bold: dict[str, Any] = {"weight": "bold", "fontsize": sheet.font_size + 1}
    lines: list[tuple[str | None, dict[str, Any]]] = [(title, bold), (told, {})]
    header = [(drawn_title(said), style) for said, style in lines if said]
    above = _LINE * sheet.font_size / 72 * len(header) + _GAP * bool(header)
    total = height + below + above
    fig.set_size_inches(width, total)
    text.set_position((_GAP / width, _GAP / total))
    if key is not None:
        key.set_bbox_to_anchor((0.5, (below - key_height) / total), transform=fig.transFigure)
    for k, (said, style) in enumerate(header):
        y = 1 - (_GAP + _LINE * sheet.font_size / 72 * k) / total
        fit(fig.text(_GAP / width, y, said, va="top", **style), inside)
    for ax in fig.axes:
        place = ax.get_subplotspec()
        for one in headers_of(ax):
            # The layout leaves out a title's width, but not its middle.
            fit(one, inside / (1 if place is None else place.get_gridspec().ncols))
    engine = ConstrainedLayoutEngine(
        rect=(0, below / total, 1, height / total), h_pad=_GAP, w_pad=_GAP
    )
    fig.set_layout_engine("none")
    engine.execute(fig)
    _place_axis_labels(fig)
    for ax in fig.axes:
        for one in headers_of(ax):
            fit(one, _room(ax))
    return fig


def write_header(ax: Axes, title: str, line: str = "", *, above: float = 0) -> None:
    """Write a bold title above a panel, and one line below the title.

    :func:`finish_page` shortens them to what there is room for.

    Args:
        ax: the panel.
        title: its first line.
        line: its second.
        above: points between panel and header.
    """
    size = float(ax.xaxis.label.get_fontsize())
    pad = above + (4 + 1.4 * size if line else 5)
    ax.set_title(drawn_title(title), weight="bold", loc="left", pad=pad).set_label(_HEADER)
    if line:
        ax.annotate(
            line, (0, 1), (0, 4 + above), xycoords="axes fraction", textcoords="offset points",
            va="baseline", annotation_clip=False, in_layout=False, label=_HEADER,
        )  # fmt: skip


def write_axis_labels(fig: Figure, x: str, y: str) -> None:
    """Write one label below all panels, and one beside them."""
    fig.supxlabel(x).set_label(_BELOW)
    fig.supylabel(y).set_label(_BESIDE)


def headers_of(ax: Axes) -> list[Text]:
    """Return the texts that :func:`write_header` wrote above a panel."""
    from matplotlib.text import Text

    texts = [one for one in ax.get_children() if isinstance(one, Text)]
    return [one for one in texts if one.get_label() == _HEADER]


def fit(text: Text, pixels: float) -> None:
    """Shorten a text to a width, in its middle; names that begin alike often end otherwise."""
    whole = text.get_text()
    kept = len(whole)
    while kept and text.get_window_extent().width > pixels:
        kept -= max(1, kept // 20)
        end = kept // 3
        # A backslash stands before a dollar, and not alone.
        text.set_text(whole[: kept - end].rstrip(" ,;\\") + "…" + whole[len(whole) - end :])


def _place_axis_labels(fig: Figure) -> None:
    """Bring the labels of all panels next to them: the layout puts them at the page's edge."""
    from matplotlib.transforms import Bbox

    panels = Bbox.union([ax.get_window_extent() for ax in fig.axes])
    boxes = [ax.get_tightbbox() for ax in fig.axes]
    around = Bbox.union([box for box in boxes if box is not None])
    size, gap = fig.bbox, _GAP * fig.dpi / 2
    for text in fig.texts:
        if text.get_label() == _BELOW:
            x, y = (panels.x0 + panels.x1) / 2, around.y0 - gap
            text.set(x=x / size.width, y=y / size.height, va="top")
        elif text.get_label() == _BESIDE:
            x, y = around.x0 - gap, (panels.y0 + panels.y1) / 2
            text.set(x=x / size.width, y=y / size.height, ha="right", va="center")


def _room(ax: Axes) -> float:
    """Return the pixels from the left of a panel to the next panel, or to the edge."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    own = ax.get_window_extent()
    beside = [one.get_window_extent() for one in figure.axes]
    nexts = [box.x0 for box in beside if box.x0 >= own.x1 and box.y0 < own.y1 and own.y0 < box.y1]
    edge = float(min(nexts, default=figure.bbox.width))
    return edge - own.x0 - 1.5 * _GAP * figure.dpi


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
    """Return the legend in as few lines as fit in ``pixels``, of even length."""
    for lines in range(1, len(handles) + 1):
        columns = math.ceil(len(handles) / lines)
        key = fig.legend(
            handles=list(handles), loc="lower center", ncols=columns, borderpad=0, borderaxespad=0
        )
        if columns == 1 or key.get_window_extent().width <= pixels:
            return key
        key.remove()
    return None
