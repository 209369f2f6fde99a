"""Remarks, paths and JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


def note(text: str) -> None:
    """Print a remark on standard error."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print strict JSON on standard output."""
    click.echo(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def print_paths(paths: Sequence[Path]) -> None:
    """Print where files were written."""
    for path in paths:
        click.echo(f"  {path}")
