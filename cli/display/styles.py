"""Results on standard output for other programs: JSON, CSV, and tables for GitHub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.display.lines import note, print_json, say, there
from cli.display.tables import Table


def printed_for_others(
    style: str,
    *,
    plain: Any,
    rows: Sequence[Mapping[str, Any]],
    tables: Sequence[Table],
    written: Sequence[Path],
) -> bool:
    """Print a result alone, as one of the styles for other programs; say whether it is one.

    Where files were written goes to standard error, but for JSON, which holds their paths.

    Args:
        style: ``table``, which is for people and not printed here, ``md``, ``csv`` or ``json``.
        plain: what JSON holds.
        rows: what CSV holds.
        tables: what Markdown shows.
        written: the files.

    Raises:
        InputError: a file is gone.
    """
    if style == "table":
        return False
    paths = there(written)
    if style == "json":
        print_json(plain)
        return True
    if style == "csv":
        from spectra.results.tables import rows_to_csv  # brings torch

        text = rows_to_csv(rows)
    else:
        text = "\n".join(table.markdown() for table in tables)
    say(*text.removesuffix("\n").split("\n"))
    for path in paths:
        note(f"written: {path}")
    return True
