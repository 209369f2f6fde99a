"""The table of recipes: accuracy by group and the curvature ratio, over seeds."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from figures.style.names import drawn_name
from figures.style.page import finish_page
from figures.style.sheet import SCREEN, house_style
from spectra import InputError
from spectra.results.recipe_rows import ACCURACIES, RATIOS, RecipeRow
from spectra.system.foreign_text import short_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMN_GAP = 0.2  # inches


def recipe_table_markdown(rows: Sequence[RecipeRow], *, note: str = "") -> str:
    """Return the table as Markdown: mean ± standard deviation (n - 1) over the seeds.

    A column that no row has is left out.

    Args:
        rows: in the order of the table.
        note: a sentence for below it, on what the ratios are of.
    """
    heading, *body = _cells(rows)
    heading = [_in_markdown(cell) for cell in heading]
    aligned = [":---", *["---:"] * (len(heading) - 1)]
    escaped = [[_in_markdown(cell) for cell in line] for line in body]
    lines = [f"| {' | '.join(line)} |" for line in (heading, aligned, *escaped)]
    return "\n".join(lines) + "\n" + f"\n{_caption(rows, note)}\n"


def plot_recipe_table(
    rows: Sequence[RecipeRow], *, note: str = "", title: str | None = None
) -> Figure:
    """Draw the table as a figure, ruled as in print, as wide as its columns are.

    Args:
        rows: in the order of the table.
        note: a sentence for below it, on what the ratios are of.
        title: above it.
    """
    heading, *body = _cells(rows)
    table = [heading, *([drawn_name(name), *cells] for name, *cells in body)]
    with house_style() as sheet:
        line_height = sheet.font_size * 1.9 / 72
        widths = _column_widths(table)
        fig = sheet.page(sum(widths), line_height * (len(table) + 1.4))
        ax = fig.add_subplot()
        ax.set_axis_off()
        ax.set_xlim(0, sum(widths))
        ax.set_ylim(len(table) + 0.3, -1.1)
        for k, line in enumerate(table):
            right = 0.0
            for c, cell in enumerate(line):
                right += widths[c]
                at, side = (0.0, "left") if c == 0 else (right, "right")
                ax.text(
                    at,
                    k + 0.72,
                    cell,
                    ha=side,
                    va="bottom" if k == 0 else "baseline",
                    weight="bold" if k == 0 else "normal",
                )
        for y, thickness in ((-0.9, 1.0), (1.0, 0.6), (len(table) + 0.1, 1.0)):
            ax.axhline(y, color="black", lw=thickness)
        return finish_page(fig, caption=_caption(rows, note), title=title)


def _in_markdown(cell: str) -> str:
    """Return a cell on one line: a bar in it would end it, and a name is no link or element."""
    return re.sub(r"([|\\<`\[])", r"\\\1", short_name(cell))


def _column_widths(table: Sequence[Sequence[str]]) -> list[float]:
    """Measure the widest cell of each column, inches, with the gap to the next."""
    page = SCREEN.page(1, 1)

    def inches(cell: str, weight: str) -> float:
        return float(page.text(0, 0, cell, weight=weight).get_window_extent().width) / page.dpi

    return [
        _COLUMN_GAP + max(inches(cell, "normal" if k else "bold") for k, cell in enumerate(column))
        for column in zip(*table, strict=True)
    ]


def _cells(rows: Sequence[RecipeRow]) -> list[list[str]]:
    if not rows:
        raise InputError("the table needs at least one recipe")
    columns = [name for name in ACCURACIES + RATIOS if any(getattr(row, name) for row in rows)]
    headings = _headings(rows[0].group_names)
    table = [["recipe", "seeds", *(headings[name] for name in columns)]]
    for row in rows:
        cells = [_spread(getattr(row, name), percent=name in ACCURACIES) for name in columns]
        table.append([row.recipe, str(len(row.seeds)), *cells])
    return table


def _headings(groups: tuple[str, str, str]) -> dict[str, str]:
    of_groups = dict(zip(("head", "mid", "tail"), groups, strict=True))
    accuracies = {name: f"{of_groups.get(name, name)} %" for name in ACCURACIES}
    ratios = {f"ratio_{name}": f"{of_groups[name]}\n|λmin/λmax|" for name in ("head", "tail")}
    return accuracies | ratios


def _spread(values: Sequence[float], *, percent: bool) -> str:
    if not values:
        return "–"
    shown = [100 * v for v in values] if percent else list(values)
    mean = statistics.fmean(shown)
    # Two significant digits of the mean for small ratios, which three decimals would erase.
    decimals = 1 if percent else max(3, 1 - math.floor(math.log10(abs(mean)))) if mean else 3
    if len(shown) < 2:
        return f"{mean:.{decimals}f}"
    return f"{mean:.{decimals}f} ± {statistics.stdev(shown):.{decimals}f}"


def _caption(rows: Sequence[RecipeRow], note: str) -> str:
    rule = "Mean ± standard deviation over seeds." if max(len(r.seeds) for r in rows) > 1 else ""
    return " ".join(part for part in (rule, note) if part)
