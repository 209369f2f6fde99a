"""|λmin/λmax| over the epochs of training, one panel for each recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from figures.style.class_colours import class_styles, counts_of
from figures.style.colours import MUTED, SeriesStyle
from figures.style.comparable import computed_text, label_text, require_comparable
from figures.style.names import drawn_name
from figures.style.page import finish_page, write_header
from figures.style.sheet import PANELS, house_style
from figures.style.ticks import set_log_ticks
from spectra import Analysis, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

YSCALES = ("auto", "linear", "log")
# Ours: below it every curve of a linear axis from 0 to 1 lies in the lowest third.
_LEGIBLE = 0.3


@dataclass(frozen=True)
class _Curve:
    """One class of one recipe: at each epoch the ratio of every seed, and whether all converged."""

    epochs: tuple[int, ...]
    ratios: tuple[tuple[float, ...], ...]
    certain: tuple[bool, ...]

    def median(self) -> list[float]:
        return [float(np.median(r)) for r in self.ratios]


def plot_trajectory(
    series: Mapping[str, Sequence[Analysis]],
    *,
    labels: Sequence[str],
    switch_epoch: int | None = None,
    switch_name: str = "DRW",
    yscale: str = "auto",
    title: str | None = None,
    width: str = "screen",
    beside: Iterable[Analysis] = (),
) -> Figure:
    """Draw |λmin/λmax| of chosen losses over the epochs, one panel for each recipe, six at most.

    Several results at one epoch are seeds of one recipe: the line is their median, the band
    reaches from the smallest to the largest. A hollow point is one that did not converge, in any
    seed. The ratio takes no heed of λmin's sign; only the verdict does.

    Args:
        series: results of each recipe, every epoch and seed in one sequence, in any order.
        labels: the records to draw, ``8`` or ``tail`` say.
        switch_epoch: where the dashed line goes: the first epoch of deferred re-weighting.
        switch_name: what is written at the line.
        yscale: ``linear``: 0 to 1 as in the paper; ``log``; ``auto``: linear if any ratio is over
            0.3, else log, as smaller ones cannot be told apart on an axis from 0 to 1.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
        beside: results of other figures that lie beside this one: the axis holds those too.

    Raises:
        InputError: nothing to draw, more than six recipes, a label that no result has, a result
            without epoch, two results of one epoch and seed, or results of different losses.
    """
    if yscale not in YSCALES:
        raise InputError(f"yscale must be one of {', '.join(YSCALES)}, got {yscale!r}")
    if not series or not all(series.values()) or not labels:
        raise InputError("plot_trajectory needs at least one recipe, one result and one label")
    flat = [(name, analysis) for name, runs in series.items() for analysis in runs]
    require_comparable(flat)
    curves = {name: _curves(name, runs, labels) for name, runs in series.items()}
    sizes = {r.label: r.n for _, a in reversed(flat) for r in a.records}
    for label in labels:
        if not any(label in panel for panel in curves.values()):
            raise InputError(
                f"no result has a ratio of {label!r}; analyzed are {', '.join(sizes) or 'none'}"
            )
    values = [
        r.ratio for a in beside for r in a.records if r.label in labels and r.ratio is not None
    ]
    values += [v for p in curves.values() for c in p.values() for r in c.ratios for v in r]
    scale = yscale if yscale != "auto" else ("linear" if max(values) > _LEGIBLE else "log")
    with house_style(width) as sheet:
        styles = class_styles(labels, counts_of(a for _, a in flat))
        fig, panels, columns = sheet.panels(len(series), down=2.6)
        handles: dict[str, Line2D] = {}
        for ax, (name, panel) in zip(panels, curves.items(), strict=True):
            for label in labels:
                if label in panel:
                    line = _draw(ax, panel[label], styles[label])
                    line.set_label(f"{label_text(label)} ({sizes[label]:,})")
                    handles.setdefault(label, line)
            set_ratio_axes(ax, scale, values)
            write_header(ax, drawn_name(name), above=0 if switch_epoch is None else 10)
            if switch_epoch is not None:
                draw_switch(ax, switch_epoch, switch_name)
            ax.set_xlabel("epoch")
        for first in panels[::columns]:
            first.set_ylabel("|λmin/λmax|" + ", log scale" * (scale == "log"))
        places = {a.checkpoint.epoch for _, a in flat if a.checkpoint.epoch is not None}
        places |= set() if switch_epoch is None else {switch_epoch}
        edge = 1.5 if len(places) == 1 else 0.05 * (max(places) - min(places))
        for ax in panels:
            ax.set_xlim(min(places) - edge, max(places) + edge)
        return finish_page(
            fig,
            sheet=sheet,
            title=title,
            told=computed_text([a for _, a in flat]),
            caption=_caption(curves),
            legend=[handles[label] for label in labels],
        )


def _curves(name: str, runs: Sequence[Analysis], labels: Sequence[str]) -> dict[str, _Curve]:
    """Sort the results of one recipe by label and epoch."""
    seen = set()
    points: dict[str, dict[int, list[tuple[float, bool]]]] = {}
    for analysis in runs:
        epoch, seed = analysis.checkpoint.epoch, analysis.checkpoint.seed
        if epoch is None:
            raise InputError(f"a result of {name!r} states no epoch; analyze a trained checkpoint")
        if (epoch, seed) in seen:
            raise InputError(f"{name!r} has two results of epoch {epoch}, seed {seed}; drop one")
        seen.add((epoch, seed))
        for record in analysis.records:
            if record.label in labels and record.ratio is not None:
                at = points.setdefault(record.label, {}).setdefault(epoch, [])
                at.append((record.ratio, bool(record.converged)))
    return {
        label: _Curve(
            tuple(sorted(by_epoch)),
            tuple(tuple(r for r, _ in by_epoch[e]) for e in sorted(by_epoch)),
            tuple(all(c for _, c in by_epoch[e]) for e in sorted(by_epoch)),
        )
        for label, by_epoch in points.items()
    }


def _draw(ax: Axes, curve: _Curve, style: SeriesStyle) -> Line2D:
    median = curve.median()
    (line,) = ax.plot(curve.epochs, median, **style.drawing())
    hollow = [k for k, certain in enumerate(curve.certain) if not certain]
    if hollow:
        ax.plot(
            [curve.epochs[k] for k in hollow], [median[k] for k in hollow], ls="none",
            marker=style.marker, color=style.colour, mfc="white", label="not converged", zorder=4,
        )  # fmt: skip
    if max(map(len, curve.ratios)) > 1:
        low, high = [min(r) for r in curve.ratios], [max(r) for r in curve.ratios]
        ax.fill_between(curve.epochs, low, high, color=style.colour, alpha=0.15, lw=0)
    return line


def set_ratio_axes(ax: Axes, scale: str, values: Sequence[float]) -> None:
    """Set the axes of a ratio over epochs: ``linear``, from 0 to 1, or ``log``."""
    from matplotlib.ticker import MaxNLocator

    ax.set_yscale(scale)
    if scale == "linear":
        ax.set_ylim(0, max(1.0, 1.03 * max(values)))
    else:
        positive = [v for v in values if v > 0] or [1.0]
        ax.set_ylim(10.0 ** np.floor(np.log10(min(positive) / 1.2)), max(1.0, 1.2 * max(values)))
        set_log_ticks(ax.yaxis, *ax.get_ylim())
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def draw_switch(ax: Axes, epoch: int, name: str) -> None:
    """Draw a dashed line at an epoch and write above the panel what happens there."""
    ax.axvline(epoch, color=MUTED, ls="--", lw=1.0, zorder=1, label="switch")
    ax.annotate(
        f"{name} from {epoch}", (epoch, 1), (0, 2), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="center", va="bottom", color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _caption(curves: Mapping[str, Mapping[str, _Curve]]) -> str:
    all_curves = [c for panel in curves.values() for c in panel.values()]
    seeds = {len(r) for c in all_curves for r in c.ratios}
    parts = []
    if max(seeds) > 1:
        counts = f"{min(seeds)}–{max(seeds)}" if len(seeds) > 1 else str(max(seeds))
        parts.append(f"line: median of {counts} seeds, band: smallest to largest")
    if not all(k for c in all_curves for k in c.certain):
        parts.append("hollow: not converged")
    parts.append("in\u00a0brackets: images")
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def trajectory_pages(
    series: Mapping[str, Sequence[Analysis]],
    *,
    labels: Sequence[str],
    switch_epoch: int | None = None,
    title: str | None = None,
    width: str = "screen",
) -> list[Figure]:
    """Draw trajectories on as many pages as six recipes each take, all on the same axis.

    Args:
        series: see :func:`plot_trajectory`, of any number of recipes.
        labels: see :func:`plot_trajectory`.
        switch_epoch: see :func:`plot_trajectory`.
        title: above the panels of each page.
        width: see :func:`plot_trajectory`.
    """
    names = list(series)
    every = [analysis for runs in series.values() for analysis in runs]
    return [
        plot_trajectory(
            {name: series[name] for name in names[k : k + PANELS]},
            labels=labels, switch_epoch=switch_epoch, title=title, width=width, beside=every,
        )
        for k in range(0, len(names), PANELS)
    ]  # fmt: skip


def labels_of(series: Mapping[str, Sequence[Analysis]]) -> list[str]:
    """Return the labels of the first result."""
    first = next(a for runs in series.values() for a in runs)
    return [record.label for record in first.records]
