"""Two columns of numbers in a text file, node and weight, as spreadsheets and scripts write."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from spectra.errors import InputError
from spectra.system.files.documents import read_text
from spectra.system.foreign_text import short_name

# Not what Python takes beside it: digits of other scripts, and underscores.
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf(?:inity)?)",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
# With it begins no name, but a number or what was meant for one.
_BEGINS_A_NUMBER = re.compile(r"[+.0-9-]")
_MINUS: Final = "\u2212"  # what typesetting has in place of a hyphen
_SEPARATORS = (";", "\t", ",")


def read_columns(path: Path) -> tuple[list[float], list[float]]:
    """Return nodes and weights of a file of two columns.

    Columns are separated by ``;``, tabs, commas or spaces, the first of these that is there. What
    follows a ``#`` is left out. A first line in which no cell is a number names the columns; it may
    have the weights first. A typographic minus is a minus.

    Args:
        path: a regular file of at most the limit ``density_file``.

    Raises:
        InputError: it cannot be read, or a line does not hold two numbers; names the line.

    Example:
        >>> from pathlib import Path
        >>> from spectra.system.files.columns import read_columns
        >>> _ = Path("run.csv").write_text("weight;node\\n0.75;-2\\n0.25;1e3\\n")
        >>> read_columns(Path("run.csv"))
        ([-2.0, 1000.0], [0.75, 0.25])
    """
    text = read_text(path, "density_file", what="two columns of numbers")
    numbered = [
        (number, line.partition("#")[0].strip())
        for number, line in enumerate(text.replace(_MINUS, "-").splitlines(), 1)
    ]
    numbered = [(number, line) for number, line in numbered if line]
    separator = next((s for s in _SEPARATORS if any(s in line for _, line in numbered)), None)
    rows = [(number, _cells(path, number, line, separator)) for number, line in numbered]
    weights_first = False
    if rows and not any(_BEGINS_A_NUMBER.match(c) or _is_number(c) for c in rows[0][1]):
        first, *others = (cell.lower() for cell in rows[0][1])
        weights_first = "weight" in first and not any("weight" in other for other in others)
        rows = rows[1:]
    for number, row in rows:
        if len(row) != 2 or not all(map(_is_number, row)):
            raise InputError(_wrong(path, number, row))
    pairs = [(float(row[0]), float(row[1])) for _, row in rows]
    if weights_first:
        pairs = [(node, weight) for weight, node in pairs]
    return [node for node, _ in pairs], [weight for _, weight in pairs]


def _cells(path: Path, number: int, line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
    except csv.Error as error:
        raise InputError(f"{path}: line {number} cannot be read ({error})") from error


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _wrong(path: Path, number: int, row: Sequence[str]) -> str:
    shown = short_name(" | ".join(row), 60)
    if any(map(_DECIMAL_COMMA.fullmatch, row)):
        return f"{path}: line {number} has decimal commas ({shown}); write points, as in 0.5"
    return f"{path}: expected two numbers, node and weight, in line {number}, got {shown}"
