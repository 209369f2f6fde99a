"""The negative part of Σ|λ| over training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.style.class_colours import class_styles
from figures.style.comparable import label_text
from figures.style.page import finish_page
from figures.style.sheet import house_style
from spectra.findings.claims.negative_share import NegativeShare
from spectra.results.claims.negative_share_result import NegativeShareResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_negative_share(
    result: NegativeShareResult, *, title: str | None = None, width: str = "screen"
) -> Figure:
    """Draw which part of Σ|λ| negative eigenvalues have at each checkpoint, with its interval.

    Args:
        result: what was found; of a file it is what
            :func:`spectra.results.claims.negative_share_result.load_negative_share` returns.
        title: above the panel.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    sizes = {share.label: share.n for share in result.shares}
    with house_style(width) as sheet:
        styles = class_styles(result.labels)
        fig = sheet.page(4.7, 2.6)
        ax = fig.subplots()
        handles = []
        for label in result.labels:
            shares = result.over_training(label)
            known = all(share.epoch is not None for share in shares)
            x = [float(share.epoch or 0) if known else k for k, share in enumerate(shares)]
            y = [100 * share.found.share for share in shares]
            errors = [_reach(share.found) for share in shares]
            style = styles[label]
            drawn = ax.errorbar(
                x, y, yerr=list(zip(*errors, strict=True)), marker="o", ms=3, capsize=2,
                color=style.colour, linestyle=style.line,
            )  # fmt: skip
            line = drawn.lines[0]
            line.set_label(f"{label_text(label)} ({sizes[label]:,})")
            handles.append(line)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("epoch")
        ax.set_ylabel("negative part of Σ|λ|, %")
        caption = "Σ|λ < 0| / Σ|λ| by stochastic Lanczos quadrature; bars: 95 % over the probes."
        return finish_page(fig, sheet=sheet, title=title, caption=caption, legend=handles)


def _reach(found: NegativeShare) -> tuple[float, float]:
    """Return how far the interval reaches below and above the share, percent."""
    if found.lower is None or found.upper is None:
        return 0.0, 0.0
    return 100 * (found.share - found.lower), 100 * (found.upper - found.share)
