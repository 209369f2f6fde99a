"""Why the published ratio goes to 1: what of each β came back, and the ratio by steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from figures.style.colours import BLUE, GUIDE, VERMILION
from figures.style.page import finish_page
from figures.style.sheet import house_style
from spectra.results.protocols.recurrences_result import RecurrenceRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":")
# The ratio is drawn after each of these numbers of steps, and after the last.
_EVERY = 5


def plot_recurrence(runs: Mapping[str, RecurrenceRun]) -> Figure:
    """Draw the share of β² that came back and |λmin/λmax| by steps, β before and after.

    Args:
        runs: of the published recurrence, by what they are called.
    """
    with house_style() as sheet:
        fig = sheet.page(6.75, 2.3)
        left, right = fig.subplots(1, 2)
        handles = []
        for (name, run), line in zip(runs.items(), _LINES, strict=False):
            shares = run.recurrence.returned_shares
            left.plot(range(2, len(shares) + 2), 1 - shares, color=VERMILION, ls=line)
            steps = sorted({*range(_EVERY, len(run.alphas), _EVERY), len(run.alphas)})
            for variant, colour, said in (
                ("before", VERMILION, "β before orthogonalising"),
                ("after", BLUE, "β after"),
            ):
                ratios = [run.ends(variant, k).ratio for k in steps]
                (handle,) = right.plot(
                    steps, ratios, color=colour, ls=line, label=f"{said}, {name}"
                )
                handles.append(handle)
        left.set_yscale("log")
        left.set_ylabel("share of β² that is new")
        left.set_xlabel("Lanczos step")
        right.set_ylabel("|λmin/λmax|")
        right.set_xlabel("number of steps")
        right.set_ylim(0, 1.05)
        right.axhline(1, color=GUIDE, lw=0.7, ls=":")
        return finish_page(
            fig,
            caption="Class 8, ResNet-20, 90 epochs. Left: 1 − the share of β² that is the "
            "subtracted β v_before, come back; of a fixed matrix all is new. Right: both from "
            "the same run, draws and start.",
            legend=handles,
        )
