"""Tables: what they hold, and how they are printed so that they fold between words alone."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import rich.table
from rich import box
from rich.cells import cell_len
from rich.console import Console

from cli.display.lines import line_width, say, tell
from spectra.results.said.markdown import markdown_table, markdown_text
from spectra.system.foreign_text import short_name

# Ours: of metrics of some hundred classes; a longer text is meant for no table.
LONGEST_CELL = 10_000


@dataclass(frozen=True)
class Table:
    """What a table holds, however it is printed.

    Attributes:
        title: above it.
        columns: names; they fold between words, so that ``train %`` takes no more than ``train``.
        rows: cells, as many in each as there are columns.
        optional: columns that a narrow terminal leaves out, the first one first.
        meanings: of columns that do not speak for themselves, by their names.
        words: a line for each word that stands in cells: ``none: no negative curvature``.
        unusual: a sentence for everything that a reader should know of these numbers.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: Sequence[str] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[str] = ()
    unusual: Sequence[str] = ()

    def without_empty(self, *names: str) -> "Table":
        """Return the table without those of the columns in which every cell is a dash."""
        empty = {
            k
            for k, name in enumerate(self.columns)
            if name in names and all(row[k] == "-" for row in self.rows)
        }
        kept = [k for k in range(len(self.columns)) if k not in empty]
        rows = [[row[k] for k in kept] for row in self.rows]
        columns = [self.columns[k] for k in kept]
        optional = [name for name in self.optional if name in columns]
        return replace(self, columns=columns, rows=rows, optional=optional)

    def markdown(self) -> str:
        """Return it as GitHub-flavoured Markdown, with all columns; its legend is a list below."""
        below = "\n".join(f"- {markdown_text(line)}" for line in (*self.legend(), *self.unusual))
        table = markdown_table(self.columns, self.rows)
        return "\n\n".join(filter(None, (f"**{markdown_text(self.title)}**", table, below))) + "\n"

    def legend(self, dropped: Collection[str] = ()) -> list[str]:
        """Return the lines below: what the columns that are shown mean, and the words in them."""
        shown = [
            f"{name}: {meaning}"
            for name, meaning in self.meanings.items()
            if name in self.columns and name not in dropped
        ]
        return ["; ".join(shown)] * bool(shown) + list(self.words)


def print_table(table: Table) -> None:
    """Print a table, its legend and what is unusual in it.

    It folds between words alone; columns of numbers are aligned to the right. Where leaving out the
    optional columns is not enough, every cell gets a line.
    """
    width = line_width()
    console = Console(markup=False, highlight=False, emoji=False, width=width)
    shown = [
        tuple(short_name(cell, LONGEST_CELL) for cell in column)
        for column in zip(table.columns, *table.rows, strict=True)
    ]
    dropped: list[str] = []
    for name in table.optional:
        if _least_width(shown) <= width:
            break
        shown = [column for column in shown if column[0] != name]
        dropped.append(name)
    console.print(f"\n{short_name(table.title, LONGEST_CELL)}\n", style="italic")
    if _least_width(shown) <= width:
        console.print(_drawn(shown, width))
        console.print()
    else:
        names, *cells = zip(*shown, strict=True)
        for row in cells:
            say(*map(": ".join, zip(names, row, strict=True)), "")
    tell(*table.legend(dropped))
    if table.unusual:
        say("", "what is unusual here:")
        tell(*table.unusual)
    if dropped:
        tell(f"a wider terminal shows {', '.join(dropped)} too, and --json everything")


def _drawn(shown: Sequence[Sequence[str]], room: int) -> rich.table.Table:
    """Return the table of columns (name and cells), none narrower than its longest word."""
    widths = _widths(shown, room)
    table = rich.table.Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    folded = []
    for column, width in zip(shown, widths, strict=True):
        name, *cells = column
        numeric = cells and all(_numeric(cell) for cell in cells)
        table.add_column(name, justify="right" if numeric else "left", width=width)
        folded.append([c if cell_len(c) <= width else c.replace(" ± ", "\n± ") for c in cells])
    for row in zip(*folded, strict=True):
        table.add_row(*row)
    return table


def _widths(shown: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return the widths of the columns: what there is to spare goes to cells first."""
    widths = [_longest_word(column) for column in shown]
    spare = room - _least_width(shown)
    for wanted in (
        [max(map(cell_len, cells), default=0) for _, *cells in shown],
        [max(map(cell_len, column)) for column in shown],
    ):
        for k, most in enumerate(wanted):
            more = min(max(most - widths[k], 0), spare)
            widths[k], spare = widths[k] + more, spare - more
    return widths


def _longest_word(column: Sequence[str]) -> int:
    words = (re.findall(r"± \S+|\S+", cell) for cell in column)
    return max(cell_len(word) for row in words for word in row or [""])


def _least_width(shown: Sequence[Sequence[str]]) -> int:
    """Return the width at which no word is folded, with two spaces between columns."""
    return sum(map(_longest_word, shown)) + 2 * (len(shown) - 1)


def _numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("-", "−", "≤", "≥", "<", "")
