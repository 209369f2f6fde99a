"""Text that somebody else wrote, as a person may be shown it."""

import re

from spectra.errors import InputError

# Letters and marks that Unicode counts among the printable ones, and that show nothing.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_NO_BREAK_SPACE = "\u00a0"
# Ours: longer than any name that is meant, and short enough for a cell of a table.
MOST_OF_A_NAME = 200


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
