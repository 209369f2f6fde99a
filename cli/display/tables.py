"""Tables that fold between words alone."""

import os
import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from cli.display.lines import say
from spectra.system.foreign_text import short_name

# Ours: columns of a table that goes to a pipe, which does not fold lines; COLUMNS says otherwise.
PIPED = 140
# Ours: of metrics of some hundred classes; a longer text is meant for no table.
LONGEST_CELL = 10_000


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    optional: Sequence[str] = (),
) -> None:
    """Print a table that folds between words alone; columns of numbers are aligned to the right.

    Args:
        title: above it.
        columns: names.
        rows: cells.
        optional: columns to leave out where the terminal is too narrow, the first one first. Where
            that is not enough, every cell gets a line.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    shown = [
        tuple(short_name(cell, LONGEST_CELL) for cell in column)
        for column in zip(columns, *rows, strict=True)
    ]
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = max(PIPED, _least_width(shown))
    dropped: list[str] = []
    for name in optional:
        if _least_width(shown) <= console.width:
            break
        shown = [column for column in shown if column[0] != name]
        dropped.append(name)
    console.print(f"\n{short_name(title, LONGEST_CELL)}\n", style="italic")
    if _least_width(shown) <= console.width:
        console.print(_table(shown, console.width))
        console.print()
    else:
        names, *cells = zip(*shown, strict=True)
        for row in cells:
            say(*map(": ".join, zip(names, row, strict=True)), "")
    if dropped:
        say(f"too narrow for {', '.join(dropped)}: --json has them")


def _table(shown: Sequence[Sequence[str]], room: int) -> Table:
    """Return the table of columns (name and cells), none narrower than its longest word."""
    spare = room - _least_width(shown)
    table = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    folded = []
    for column in shown:
        name, *cells = column
        least = _longest_word(column)
        width = min(max(map(cell_len, column)), least + spare)
        spare -= width - least
        numeric = cells and all(_numeric(cell) for cell in cells)
        table.add_column(name, justify="right" if numeric else "left", width=width)
        folded.append([c if cell_len(c) <= width else c.replace(" ± ", "\n± ") for c in cells])
    for row in zip(*folded, strict=True):
        table.add_row(*row)
    return table


def _longest_word(column: Sequence[str]) -> int:
    words = (re.findall(r"± \S+|\S+", cell) for cell in column)
    return max(cell_len(word) for row in words for word in row or [""])


def _least_width(shown: Sequence[Sequence[str]]) -> int:
    """Return the width at which no word is folded, with two spaces between columns."""
    return sum(map(_longest_word, shown)) + 2 * (len(shown) - 1)


def _numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("-", "−", "≤", "≥", "")
