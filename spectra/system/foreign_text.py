"""Text that somebody else wrote, as a person may be shown it."""

import re
from typing import Any

from spectra.errors import InputError

# Letters and marks that Unicode counts among the printable ones, and that show nothing.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_NO_BREAK_SPACE = "\u00a0"
# Ours: longer than any name that is meant, and short enough for a cell of a table.
MOST_OF_A_NAME = 200
# Ours: longer than paths are, and several of them fit into a line.
MOST_OF_A_WORD = 400
# What spreadsheets begin a formula with, in the width of East Asian type too.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf)"
_NUMBERS = re.compile(rf"{_NUMBER}(?: {_NUMBER})*")


def printable(text: str) -> str:
    r"""Return ``text`` as one line that shows all that is in it, and steers no terminal.

    Line breaks and tabs become spaces. What else cannot be seen is written out, so that two names
    that differ look different: escape sequences, control characters, marks that turn the direction
    of writing, characters of no width, and surrogates, which no encoding takes.

    Example:
        >>> from spectra.system.foreign_text import printable
        >>> print(printable("ce\x1b[31m\nError: none"))
        ce\x1b[31m Error: none
    """
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(map(_shown, text))


def short_name(text: str, most: int = MOST_OF_A_NAME) -> str:
    """Return :func:`printable` of a name, cut in the middle beyond ``most`` letters."""
    name = printable(text)
    if len(name) <= most:
        return name
    kept = most - 1
    return f"{name[: kept // 2]}…{name[len(name) - (kept - kept // 2) :]}"


def short_words(text: str, most: int = MOST_OF_A_WORD) -> str:
    """Return ``text`` with every word beyond ``most`` letters as :func:`short_name` cuts it.

    Of a message, which may quote an address, a name or a value of any length.

    Example:
        >>> from spectra.system.foreign_text import short_words
        >>> short_words("no file at xxxxxxxxxxxx; look there", 9)
        'no file at xxxx…xxx; look there'
    """
    return re.sub(rf"\S{{{most + 1},}}", lambda word: short_name(word[0], most), text)


def spreadsheet_cell(value: Any) -> Any:
    """Return a cell of a CSV file that no spreadsheet takes for a formula.

    Text that begins like one is given an apostrophe in front, with which spreadsheets mark text.
    Numbers stay as they are, and so do texts of numbers.

    Example:
        >>> from spectra.system.foreign_text import spreadsheet_cell
        >>> [spreadsheet_cell(cell) for cell in ("=1+2", "ce-drw", "-3", -3.5)]
        ["'=1+2", 'ce-drw', '-3', -3.5]
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBERS.fullmatch(value):
        return value
    return f"'{value}"


def check_encodable(what: str, text: str) -> None:
    """Raise InputError where ``text`` holds bytes of a file name that are no UTF-8.

    Python keeps such bytes as surrogates, which no file of ours can hold: it is found out before
    any work, not when the result is written.

    Args:
        what: the text is.
        text: a path, a name.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} must be UTF-8, got {printable(text)}; rename it, or make a link to it by "
            "another name"
        ) from error


def _shown(character: str) -> str:
    if character == _NO_BREAK_SPACE:
        return character
    if character.isspace():
        return " "
    if character.isprintable() and not _UNSEEN.match(character):
        return character
    return character.encode("unicode_escape").decode("ascii")
