"""The losses of one result as a table: CSV, text for a prompt, HTML for a notebook."""

import csv
import html
import io
from collections.abc import Sequence

from spectra.findings.loss_analysis import LossAnalysis
from spectra.results.record import row

_COLUMNS = ("class", "n", "λmin", "λmax", "|λmin/λmax|", "verdict")


def to_csv(records: Sequence[LossAnalysis]) -> str:
    """Return every column of the table as CSV, one line for each record."""
    rows = [row(record) for record in records]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for one in rows:
        flat = {k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in one.items()}
        writer.writerow(flat)
    return out.getvalue()


def to_text(title: str, records: Sequence[LossAnalysis]) -> str:
    """Return the short table under its title, columns aligned; as ``repr`` shows it."""
    table = [_COLUMNS, *map(_cells, records)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    aligned = [
        "  ".join(
            cell.rjust(width) if 0 < k < len(widths) - 1 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    return "\n".join([title, *aligned, *_notes(records)])


def to_html(title: str, records: Sequence[LossAnalysis]) -> str:
    """Return the short table as HTML; names that came with a file are escaped."""

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(_cells(record), "td") for record in records)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in _notes(records))
    return (
        f"<table><caption>{html.escape(title)}</caption>"
        f"<thead>{line(_COLUMNS, 'th')}</thead><tbody>{body}</tbody></table>{notes}"
    )


def _cells(record: LossAnalysis) -> tuple[str, ...]:
    return (
        record.label,
        str(record.n),
        f"{record.lambda_min:.3g}",
        f"{record.lambda_max:.3g}",
        "-" if record.ratio is None else f"{record.ratio:.3g}",
        record.verdict.name,
    )


def _notes(records: Sequence[LossAnalysis]) -> list[str]:
    # Fresh draws have no matrix, of which something could converge; the verdict says so.
    open_ended = [r.label for r in records if not r.converged and r.noise is None]
    if not open_ended:
        return []
    return [f"not converged, so λmin may be lower, λmax higher: {', '.join(open_ended)}"]
