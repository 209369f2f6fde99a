"""Tables as GitHub-flavoured Markdown, for issues, pull requests and notes."""

import re
from collections.abc import Sequence

from spectra.system.foreign_text import short_name

# What Markdown or HTML would take for more than a character.
_MEANT = re.compile(r"[\\`*_\[\]<>&|~#]")
# Ours: of lists of metrics of some hundred classes.
_LONGEST_CELL = 10_000


def markdown_text(text: str) -> str:
    r"""Return ``text`` as Markdown shows it: as one line, whatever it holds.

    >>> from spectra.results.said.markdown import markdown_text
    >>> print(markdown_text("|λmin/λmax| of a_b"))
    \|λmin/λmax\| of a\_b
    """
    return _MEANT.sub(r"\\\g<0>", short_name(text, _LONGEST_CELL))


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of GitHub-flavoured Markdown; columns of numbers are aligned to the right.

    Args:
        columns: names.
        rows: cells, as many in each as there are columns.

    Example:
        >>> from spectra.results.said.markdown import markdown_table
        >>> print(markdown_table(["class", "λmin"], [["tail", "-3.2"]]))
        | class | λmin |
        | --- | ---: |
        | tail | -3.2 |
    """
    numeric = [all(map(_is_number, cells)) for cells in zip(*rows, strict=True)]
    marks = ["---:" if right else "---" for right in numeric] or ["---"] * len(columns)
    lines = [columns, *rows]
    written = [" | ".join(map(markdown_text, cells)) for cells in lines]
    written.insert(1, " | ".join(marks))
    return "\n".join(f"| {line} |" for line in written)


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("-", "−", "≤", "≥", "<", "")
