"""|λmin/λmax| of the same weights under several choices of images: at one epoch, over training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from figures.style.class_colours import class_styles
from figures.style.colours import GUIDE
from figures.style.comparable import label_text
from figures.style.names import class_number, drawn_name
from figures.style.page import finish_page, write_header
from figures.style.sheet import house_style
from figures.style.ticks import set_log_ticks
from figures.trajectory import draw_switch
from spectra.results.protocol_rows import ProtocolRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_MARKERS = (
    "Filled: a fixed matrix, residuals checked. Hollow: Ritz values of one run, of products that "
    "change (fresh) or of PyHessian's recurrence, unchecked. In brackets: images. "
)


def plot_protocols(
    runs: Mapping[str, Sequence[ProtocolRow]],
    *,
    order: Sequence[str] = (),
    class_counts: Sequence[int] = (),
    title: str | None = None,
    caption: str = "",
    width: str = "screen",
) -> Figure:
    """Draw |λmin/λmax| of each class under each protocol, a panel for each run, six at most.

    Filled: of a fixed matrix, by a solver that checks its residuals. Hollow: Ritz values of
    products that change, or of a recurrence that nothing checks.

    Args:
        runs: rows of :func:`spectra.results.protocol_rows.protocol_rows`, by the name of the run.
        order: of the protocols, from left to right; those left out follow as they come.
        class_counts: training images of each class of the network, for its colours; see
            :func:`figures.class_colours`.
        title: above the panels.
        caption: what to add to the caption.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    flat = [row for rows in runs.values() for row in rows]
    present = dict.fromkeys(row.protocol for row in flat)
    protocols = list(dict.fromkeys([*(p for p in order if p in present), *present]))
    labels = list(dict.fromkeys(row.label for row in flat))
    sizes = {row.label: row.n for row in flat if row.protocol == protocols[0]}
    with house_style(width) as sheet:
        styles = class_styles(labels, class_counts)
        fig, panels, columns = sheet.panels(len(runs), down=2.4)
        handles = []
        for ax, (name, rows) in zip(panels, runs.items(), strict=True):
            for k, label in enumerate(labels):
                mine = {r.protocol: r for r in rows if r.label == label}
                shift = 0.5 * (k / max(1, len(labels) - 1) - 0.5) if len(labels) > 1 else 0.0
                points = [
                    (protocols.index(p) + shift, r.protocol_ratio, _checked(r))
                    for p, r in mine.items()
                    if r.protocol_ratio
                ]
                style = styles[label]
                for x, y, fixed in points:
                    ax.plot(
                        [x], [y], marker=style.marker, color=style.colour, ls="none",
                        mfc=style.colour if fixed else "white", ms=4.5,
                    )  # fmt: skip
                (handle,) = ax.plot(
                    [], [], marker=style.marker, color=style.colour, ls="none",
                    label=f"{label_text(label)} ({sizes.get(label, 0):,})",
                )  # fmt: skip
                if ax is panels[0]:
                    handles.append(handle)
            _set_ratio_axis(ax, flat)
            ax.set_xticks(range(len(protocols)), protocols, rotation=45, ha="right")
            ax.set_xlim(-0.6, len(protocols) - 0.4)
            ax.grid(axis="x", visible=False)
            write_header(ax, drawn_name(name) if name else "")
        for first in panels[::columns]:
            first.set_ylabel("|λmin/λmax|, log scale")
        return finish_page(
            fig, sheet=sheet, title=title, caption=_MARKERS + caption, legend=handles
        )


def plot_protocols_over_training(
    epochs: Mapping[int, Sequence[ProtocolRow]],
    protocols: Mapping[str, str],
    *,
    switch_epoch: int | None = None,
    class_counts: Sequence[int] = (),
    title: str | None = None,
    caption: str = "",
    width: str = "screen",
) -> Figure:
    """Draw |λmin/λmax| of each class over the epochs, a panel for each protocol.

    Markers as in :func:`plot_protocols`.

    Args:
        epochs: rows of :func:`spectra.results.protocol_rows.protocol_rows` by epoch.
        protocols: the titles of the panels by protocol, from left to right.
        switch_epoch: where re-weighting sets in, marked by a dashed line; None: no line.
        class_counts: training images of each class of the network, for its colours; see
            :func:`figures.class_colours`.
        title: above the panels.
        caption: what to add to the caption.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    drawn = [
        (protocol, epoch, row)
        for protocol in protocols
        for epoch in sorted(epochs)
        for row in epochs[epoch]
        if row.protocol == protocol and row.protocol_ratio
    ]
    sizes = {row.label: row.n for _, _, row in drawn}
    labels = sorted(sizes, key=class_number)
    with house_style(width) as sheet:
        styles = class_styles(labels, class_counts)
        fig, panels, columns = sheet.panels(len(protocols), down=2.7)
        handles: dict[str, Line2D] = {}
        for ax, (protocol, name) in zip(panels, protocols.items(), strict=True):
            for label in labels:
                points = [(e, r) for p, e, r in drawn if p == protocol and r.label == label]
                if not points:
                    continue
                style = styles[label]
                fixed = all(_checked(r) for _, r in points)
                (line,) = ax.plot(
                    [e for e, _ in points], [r.protocol_ratio or 0.0 for _, r in points],
                    **style.drawing() | {"mfc": style.colour if fixed else "white"},
                    label=f"{label_text(label)} ({sizes[label]:,})",
                )  # fmt: skip
                handles.setdefault(label, line)
            _set_ratio_axis(ax, [row for _, _, row in drawn])
            if switch_epoch is not None:
                draw_switch(ax, switch_epoch, "DRW")
            write_header(ax, drawn_name(name), above=0 if switch_epoch is None else 10)
            ax.set_xlabel("epoch")
        for first in panels[::columns]:
            first.set_ylabel("|λmin/λmax|, log scale")
        legend = [handles[label] for label in labels]
        return finish_page(fig, sheet=sheet, title=title, caption=_MARKERS + caption, legend=legend)


def _checked(row: ProtocolRow) -> bool:
    """Say whether what is drawn of a row is certified."""
    return row.lambda_min_at_most is not None and not row.by_recurrence


def _set_ratio_axis(ax: Axes, rows: Sequence[ProtocolRow]) -> None:
    low = min((r.protocol_ratio for r in rows if r.protocol_ratio), default=0.1)
    bottom = 10 ** math.floor(math.log10(low / 1.3))  # a mark at the edge would be cut
    ax.axhline(1, color=GUIDE, lw=0.7, zorder=1)
    ax.set_yscale("log")
    ax.set_ylim(bottom, 2)
    set_log_ticks(ax.yaxis, bottom, 1)
