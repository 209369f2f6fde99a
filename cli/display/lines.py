"""Lines, remarks, paths and JSON: whatever they hold, it steers no terminal."""

import json
import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from spectra.errors import InputError
from spectra.system.foreign_text import printable

_UNSEEN = re.compile(r"[^\n -~]")
# Ours: what every terminal has, and a page of a book; COLUMNS says otherwise.
PIPED_WIDTH = 80
# Ours: longer lines of prose are hard to follow with the eye.
WIDEST_PROSE = 100


def say(*lines: str) -> None:
    """Print lines on standard output; a line break inside one becomes a space."""
    click.echo("\n".join(map(printable, lines)))


def tell(*paragraphs: str, indent: int = 2) -> None:
    """Print prose on standard output, folded between words to the width of the terminal.

    Args:
        paragraphs: each starts a line.
        indent: spaces before every line; those that go on have two more.
    """
    width = min(line_width(), WIDEST_PROSE)
    for paragraph in paragraphs:
        folded = textwrap.fill(
            printable(paragraph),
            max(width, indent + 10),
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + 2),
            break_long_words=False,  # a path or an option is to be copied
            break_on_hyphens=False,
        )
        click.echo(folded)


def line_width() -> int:
    """Return the columns of standard output: of its terminal, else :data:`PIPED_WIDTH`."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and 0 < int(asked) < 10_000:
        return int(asked)
    if not sys.stdout.isatty():
        return PIPED_WIDTH
    return shutil.get_terminal_size((PIPED_WIDTH, 24)).columns


def note(text: str) -> None:
    """Print a remark on standard error."""
    click.echo(printable(text), err=True)


def print_json(value: Any) -> None:
    """Print strict JSON on standard output; what cannot be seen is written as JSON escapes it."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    click.echo(_UNSEEN.sub(_escaped, text))


def there(paths: Sequence[Path]) -> list[str]:
    """Return the names of files that were written.

    Raises:
        InputError: one is not there, or holds nothing: somebody removed it in the meantime.
    """
    for path in paths:
        if not path.is_file() or not path.stat().st_size:
            raise InputError(
                f"{path} was written and is gone or empty now; give the same command again, which "
                "makes it anew"
            )
    return [str(path) for path in paths]


def print_paths(paths: Sequence[Path]) -> None:
    """Print where files were written.

    Raises:
        InputError: see :func:`there`.
    """
    there(paths)
    for path in paths:
        say(f"  {path}")


class OneLine(logging.Formatter):
    """What a logger says, as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(super().format(record))


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return character if printable(character) == character else json.dumps(character)[1:-1]
