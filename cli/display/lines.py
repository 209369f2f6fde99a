"""Lines, remarks, paths and JSON: whatever they hold, it steers no terminal."""

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from spectra.errors import InputError
from spectra.system.foreign_text import printable

_UNUSUAL = re.compile(r"[^\n -~]")


def say(*lines: str) -> None:
    """Print lines on standard output; a line break inside one becomes a space."""
    click.echo("\n".join(map(printable, lines)))


def note(text: str) -> None:
    """Print a remark on standard error."""
    click.echo(printable(text), err=True)


def print_json(value: Any) -> None:
    """Print strict JSON on standard output; what cannot be seen is written as JSON escapes it."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    click.echo(_UNUSUAL.sub(_escaped, text))


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
