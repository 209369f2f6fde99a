"""What SAM does along a direction of negative curvature, and what lies along it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from figures.paging import parts
from figures.style.class_colours import class_styles
from figures.style.colours import (
    BLUE,
    GUIDE,
    MUTED,
    VERMILION,
    SeriesStyle,
)
from figures.style.comparable import label_text, number
from figures.style.page import finish_page, write_header
from figures.style.sheet import PANELS, house_style
from spectra.results.directions.theorem_result import DirectionReport, TheoremResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_theorem(
    result: TheoremResult, *, title: str | None = None, width: str = "screen"
) -> Figure:
    """Draw, for each class, SAM's amplification along its v_min over ρ, and the losses along v_min.

    Args:
        result: what was measured; of a file it is what
            :func:`spectra.results.directions.theorem_result.load_theorem` returns.
        title: above the panels.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    classes = result.classes
    with house_style(width) as sheet:
        styles = class_styles(list(dict.fromkeys(label for c in classes for label in c.line)))
        fig = sheet.page(6.75, 2.1 * len(classes))
        grid = fig.subplots(len(classes), 2, squeeze=False)
        for (left, right), one in zip(grid, classes, strict=True):
            _amplification(left, one, narrow=sheet.narrow)
            _line(right, one, styles, narrow=sheet.narrow)
        grid[-1][0].set_xlabel("ρ")
        grid[-1][1].set_xlabel("t along v_min")
        protocol = result.protocol
        caption = (
            "Left: E⟨g_SAM, v⟩² / E⟨g, v⟩² over mini-batches of "
            f"{protocol.batch_size} (bars: 95 % bootstrap over {protocol.num_batches} "
            "batches), its first-order prediction, and the theorem's (1+ρλmin)², whose ascent "
            "step is not normalised; below 1, SAM weakens what drives out of the saddle. Hollow: "
            "the mean of ⟨g, v⟩ is within its standard error. Right: the loss of each class along "
            "v_min, in units of a parameter; GN: vᵀGv, rest: vᵀ(H−G)v. Loss "
            f"{protocol.loss}, {protocol.images} {protocol.split} images, eval mode."
        )
        handles = [
            *grid[0][0].get_legend_handles_labels()[0], *grid[0][1].get_legend_handles_labels()[0],
        ]  # fmt: skip
        return finish_page(fig, sheet=sheet, title=title, caption=caption, legend=handles)


def theorem_pages(
    result: TheoremResult, *, title: str | None = None, width: str = "screen"
) -> list[Figure]:
    """Draw :func:`plot_theorem` on as many pages as three classes each take."""
    return [
        plot_theorem(replace(result, classes=classes), title=title, width=width)
        for classes in parts(result.classes, PANELS // 2)
    ]


def _amplification(ax: Axes, one: DirectionReport, *, narrow: bool) -> None:
    rows = one.batches
    critical = one.critical_rho
    ends = [f"λmin {number(one.lambda_min)}", f"ρ* {number(critical)}"]
    if not narrow:
        ends.insert(1, f"‖g‖ {number(one.grad_norm)}")
    write_header(ax, label_text(one.label), ", ".join(ends))
    ax.set_ylabel("amplification, log scale")
    if not rows:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.text(0.5, 0.5, "a mini-batch is all of the images", ha="center", color=MUTED)
        return
    rho = [row.rho for row in rows]
    middle = [row.measured.estimate for row in rows]
    error = [
        [row.measured.estimate - row.measured.lower for row in rows],
        [row.measured.upper - row.measured.estimate for row in rows],
    ]
    hollow = any(row.undetermined for row in rows)
    ax.errorbar(
        rho, middle, yerr=error, fmt="o", color=BLUE, mfc="white" if hollow else BLUE,
        capsize=2, label="measured",
    )  # fmt: skip
    predicted = [row.predicted.estimate for row in rows]
    ax.plot(rho, predicted, "--", color=VERMILION, label="predicted, to first order in ρ")
    ax.plot(rho, [row.theorem for row in rows], ":", color=MUTED, label="(1+ρλmin)²")
    ax.axhline(1, color=GUIDE, lw=0.7)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(rho, [f"{value:g}" * (k % 2 == 0 or not narrow) for k, value in enumerate(rho)])
    ax.minorticks_off()


def _line(
    ax: Axes, one: DirectionReport, styles: Mapping[str, SeriesStyle], *, narrow: bool
) -> None:
    for label, values in one.line.items():
        style = styles[label]
        ax.plot(
            one.line_steps, values, color=style.colour, linestyle=style.line,
            lw=1.8 if label == one.label else 1.0, label=label_text(label),
        )  # fmt: skip
    ax.axvline(0, color=GUIDE, lw=0.7)
    ax.set_yscale("log")
    told = f"GN {number(one.gauss_newton)}, rest {number(one.rest)}"
    write_header(ax, "along its v_min", "" if narrow else told)
    ax.set_ylabel("loss, log scale")
