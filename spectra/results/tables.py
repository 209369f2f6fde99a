"""The losses of one result: CSV, text for a prompt, HTML, Markdown, certificates."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from spectra.findings.loss_analysis import LossAnalysis
from spectra.landscape.bending import Bending
from spectra.landscape.stationary_point import StationaryPoint
from spectra.results.record import row
from spectra.results.said.markdown import markdown_table, markdown_text
from spectra.system.foreign_text import spreadsheet_cell

# Ours: of more records a prompt and a notebook show the first and the last half of this many.
LONGEST = 40
# Of the n images that are right; of what a step within the radius takes off the loss, and what
# part of that negative curvature brings (where that was measured).
_BENDING = ("lowered %", "bending %")
_STATIONARY = "stationary point"  # a column where one was looked for


def to_csv(records: Sequence[LossAnalysis]) -> str:
    """Return every column of the table as CSV, one line for each record."""
    return rows_to_csv([row(record) for record in records])


def rows_to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of the same keys as CSV; lists are joined by spaces, formulas made inert."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for one in rows:
        flat = {k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in one.items()}
        writer.writerow({key: spreadsheet_cell(value) for key, value in flat.items()})
    return out.getvalue()


def layers_to_csv(records: Sequence[LossAnalysis]) -> str:
    """Return what is known of the layers as CSV, one line for each record and layer."""
    columns = ("size", "lambda_min", "residual_min", "lambda_max", "residual_max", "converged",
               "trace", "trace_error")  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["class", "layer", *columns])
    for record in records:
        for layer in record.layers:
            values = [getattr(layer, name) for name in columns]
            writer.writerow(map(spreadsheet_cell, [record.label, layer.name, *values]))
    return out.getvalue()


def certificate_lines(records: Sequence[LossAnalysis]) -> list[str]:
    """Return what is known of λmin and λmax of each loss, and why, a line for each statement."""
    lines = []
    for record in records:
        lines.append(f"class {record.label}, {record.n} images")
        for certificate in record.certificates or ():
            lines += [f"  {text}" for text in certificate.statements()]
        if record.density is not None:
            lines.append(
                f"  density from {record.density.images} images: W1 to that of all at most "
                f"{record.density.distance:.3g}, {record.density.relative:.1%} of mean |λ| (95 %)"
            )
        if record.bootstrap is not None:
            low, high = record.bootstrap.smallest, record.bootstrap.largest
            lines.append(
                f"  other images of the class, to first order: λmin {low.lower:.3g} to "
                f"{low.upper:.3g}, λmax {high.lower:.3g} to {high.upper:.3g} (95 %)"
            )
    return lines


def to_text(title: str, records: Sequence[LossAnalysis]) -> str:
    """Return the short table under its title, columns aligned; as ``repr`` shows it."""
    table = [_columns(records), *_lines(records)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    aligned = [
        "  ".join(
            cell.rjust(width) if 0 < k < table[0].index("verdict") else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    return "\n".join([title, *aligned, *_notes(records)])


def to_html(title: str, records: Sequence[LossAnalysis]) -> str:
    """Return the short table as HTML; names that came with a file are escaped."""

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(cells, "td") for cells in _lines(records))
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in _notes(records))
    return (
        f"<table><caption>{html.escape(title)}</caption>"
        f"<thead>{line(_columns(records), 'th')}</thead><tbody>{body}</tbody></table>{notes}"
    )


def to_markdown(title: str, records: Sequence[LossAnalysis]) -> str:
    """Return the short table as GitHub-flavoured Markdown; names in it are escaped."""
    notes = [markdown_text(note) for note in _notes(records)]
    table = markdown_table(_columns(records), _lines(records))
    return "\n\n".join([f"**{markdown_text(title)}**", table, *notes]) + "\n"


def _columns(records: Sequence[LossAnalysis]) -> tuple[str, ...]:
    return (
        "class",
        "n",
        "right %",
        "λmin",
        "λmax",
        "|λmin/λmax|",
        *(_BENDING if _bent(records) else ()),
        "verdict",
        *((_STATIONARY,) if _searched(records) else ()),
    )


def _bent(records: Sequence[LossAnalysis]) -> bool:
    return any(record.bending for record in records)


def _searched(records: Sequence[LossAnalysis]) -> bool:
    return any(record.stationary for record in records)


def _lines(records: Sequence[LossAnalysis]) -> list[tuple[str, ...]]:
    bent, searched = _bent(records), _searched(records)
    lines = [_cells(record, bent=bent, searched=searched) for record in records]
    if len(lines) <= LONGEST:
        return lines
    half = LONGEST // 2
    return [*lines[:half], ("...",) * len(lines[0]), *lines[-half:]]


def _cells(record: LossAnalysis, *, bent: bool, searched: bool) -> tuple[str, ...]:
    return (
        record.label,
        str(record.n),
        f"{100 * record.fit_accuracy:.1f}",
        f"{record.lambda_min:.3g}",
        f"{record.lambda_max:.3g}",
        "-" if record.ratio is None else f"{record.ratio:.3g}",
        *(_lowered(record.bending) if bent else ()),
        record.verdict.name,
        *((_near(record.stationary) if record.stationary else "-",) if searched else ()),
    )


def _lowered(bending: Bending | None) -> tuple[str, str]:
    if bending is None:
        return "-", "-"
    lowered = bending.lowered_with
    return "-" if lowered is None else f"{100 * lowered:.0f}", f"{100 * bending.share:.2g}"


def _near(found: StationaryPoint) -> str:
    """Return the name, and how far away it is."""
    away = "" if found.distance is None else f", {found.distance:.3g} away"
    return found.name + away


def _notes(records: Sequence[LossAnalysis]) -> list[str]:
    massless = [f"density of {r.label}: {said}" for r in records if (said := r.massless_ends)]
    notes = massless[:LONGEST]
    open_ended = [r.label for r in records if r.open_ended]
    if not open_ended:
        return notes
    more = f" and {len(open_ended) - LONGEST} more" if len(open_ended) > LONGEST else ""
    named = ", ".join(open_ended[:LONGEST])
    return [*notes, f"not converged, so λmin may be lower, λmax higher: {named}{more}"]
