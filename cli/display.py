"""What a person sees: tables on standard output, progress on standard error."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from spectra import Analysis, LossAnalysis, SolverSettings
from spectra.krylov.rayleigh import allowed_residuals
from spectra.results.protocol_rows import ProtocolRow

# Ours: seconds between the lines that a log gets, so that it tells work from a hang.
LOG_EVERY = 60.0
# Ours: columns of a table that goes to a pipe, which does not fold lines; COLUMNS says otherwise.
PIPED = 140


class Reporter:
    """A progress line on standard error; in a log, where there is no terminal, a line a minute."""

    def __init__(self, progress: Progress, task: TaskID, *, log: bool) -> None:
        self._progress, self._task = progress, task
        self._log, self._logged = log, time.monotonic()

    def update(self, text: str, done: int, total: int) -> None:
        """Show ``text`` and ``done`` of ``total``; a total of 0 shows no bar."""
        self._progress.update(
            self._task, description=text, completed=done, total=total or None, refresh=False
        )
        if self._log and time.monotonic() - self._logged >= LOG_EVERY:
            self._logged = time.monotonic()
            note(f"{text} {done}/{total}" if total else text)


@contextmanager
def reporting(text: str) -> Iterator[Reporter]:
    """Show progress while the block runs."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(text, total=None)
        yield Reporter(progress, task, log=not console.is_terminal)


def note(text: str) -> None:
    """Print a remark on standard error."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print strict JSON on standard output."""
    click.echo(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    optional: Sequence[str] = (),
) -> None:
    """Print a table that folds between words alone; columns of numbers are aligned to the right.

    Args:
        title: above it.
        columns: names.
        rows: cells.
        optional: columns to leave out where the terminal is too narrow, the first one first. Where
            that is not enough, every cell gets a line.
    """
    console = Console(markup=False, highlight=False)
    shown = list(zip(columns, *rows, strict=True))
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = max(PIPED, _least_width(shown))
    dropped: list[str] = []
    for name in optional:
        if _least_width(shown) <= console.width:
            break
        shown = [column for column in shown if column[0] != name]
        dropped.append(name)
    console.print(f"\n{title}\n", style="italic")
    if _least_width(shown) <= console.width:
        console.print(_table(shown, console.width))
        console.print()
    else:
        names, *cells = zip(*shown, strict=True)
        for row in cells:
            click.echo("\n".join(map(": ".join, zip(names, row, strict=True))) + "\n")
    if dropped:
        click.echo(f"too narrow for {', '.join(dropped)}: --json has them")


def _table(shown: Sequence[Sequence[str]], room: int) -> Table:
    """Return the table of columns (name and cells), none narrower than its longest word."""
    spare = room - _least_width(shown)
    table = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    folded = []
    for column in shown:
        name, *cells = column
        least = _longest_word(column)
        width = min(max(map(cell_len, column)), least + spare)
        spare -= width - least
        numeric = cells and all(_numeric(cell) for cell in cells)
        table.add_column(name, justify="right" if numeric else "left", width=width)
        folded.append([c if cell_len(c) <= width else c.replace(" ± ", "\n± ") for c in cells])
    for row in zip(*folded, strict=True):
        table.add_row(*row)
    return table


def _longest_word(column: Sequence[str]) -> int:
    words = (re.findall(r"± \S+|\S+", cell) for cell in column)
    return max(cell_len(word) for row in words for word in row or [""])


def _least_width(shown: Sequence[Sequence[str]]) -> int:
    """Return the width at which no word is folded, with two spaces between columns."""
    return sum(map(_longest_word, shown)) + 2 * (len(shown) - 1)


def print_analysis(analysis: Analysis) -> None:
    """Print the per-class table, with the protocol that it holds under."""
    protocol, checkpoint = analysis.protocol, analysis.checkpoint
    settings = protocol.solver or SolverSettings()
    marks = {r.label: _marks(r, settings) for r in analysis.records}
    rows = []
    for record in analysis.records:
        below, above = marks[record.label]
        row = [
            record.label,
            str(record.n),
            _percent(record.accuracy),
            number(record.loss),
            below + with_residual(record.lambda_min, record.residual_min),
            above + with_residual(record.lambda_max, record.residual_max),
            number(record.ratio),
            number(record.grad_norm),
            number(record.grad_along_vmin),
            record.verdict.name,
        ]
        rows.append(row)
    epoch = "" if checkpoint.epoch is None else f" epoch {checkpoint.epoch}"
    print_table(
        f"{checkpoint.name}{epoch}: Hessian of each class's loss",
        ["class", "n", "accuracy", "loss", "λmin", "λmax", "|λmin/λmax|", "‖g‖", "|g·vmin|/‖g‖",
         "verdict"],
        rows,
        optional=["|g·vmin|/‖g‖", "loss", "accuracy", "n"],
    )  # fmt: skip
    recorded = f", {protocol.accuracy}" if protocol.accuracy else ""
    click.echo(
        f"loss {protocol.loss}, reduction {protocol.reduction}, {protocol.split} images "
        f"({protocol.images}), {protocol.dtype}, engine {settings.engine}, "
        f"{counted(settings.num_probes, 'probe')} x {counted(settings.num_steps, 'step')}, "
        f"seed {settings.seed}, r {protocol.radius}, τ {protocol.tau}; ± is the residual "
        f"norm; accuracy on test images{recorded}"
    )
    marked = [label for label, ends in marks.items() if any(ends)]
    if marked:
        click.echo(
            f"≤ and ≥: not converged in {settings.max_steps} steps, so λmin may be lower, λmax "
            f"higher (class {', '.join(marked)}); raise --max-steps"
        )
    click.echo(_grounds(analysis))


def print_protocols(name: str, rows: Sequence[ProtocolRow]) -> None:
    """Print what each choice of images gives, and what of it belongs to a matrix."""
    table = [
        [
            row.label,
            row.protocol,
            str(row.n),
            number(row.loss),
            with_residual(row.lambda_min, row.residual_min),
            number(row.lambda_max),
            number(row.ratio),
            number(row.grad_norm),
            number(row.alpha_over_beta),
            number(row.asymmetry),
            row.verdict,
        ]
        for row in rows
    ]
    print_table(
        f"{name}: the same weights under each choice of images",
        ["class", "images", "n", "loss", "λmin", "λmax", "|λmin/λmax|", "‖g‖", "|α|/β",
         "asymmetry", "verdict"],
        table,
        optional=["asymmetry", "|α|/β", "loss", "‖g‖", "n"],
    )  # fmt: skip
    click.echo(
        "fresh: a new draw at every product, so λmin and λmax are Ritz values of no matrix; "
        "few frozen draws exaggerate both extremes: read frozen:1, 4, 16 together"
    )


def print_certificates(analysis: Analysis) -> None:
    """Print the three statements on each extreme of each class."""
    for line in certificate_lines(analysis):
        click.echo(line)


def certificate_lines(analysis: Analysis) -> list[str]:
    """Return, for each loss, what is known of λmin and λmax, a line for each statement."""
    lines = []
    for record in analysis.records:
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


def _grounds(analysis: Analysis) -> str:
    """Say in a line how the extremes were come by."""
    records = analysis.records
    ways = ", ".join(sorted({r.products for r in records if r.products})) or "unrecorded"
    proven = sum(bool(r.certificates and r.certificates[0].proven) for r in records)
    bounded = sum(bool(r.certificates and r.certificates[0].beyond is not None) for r in records)
    active = sum((r.active_images or r.n) < r.n for r in records)
    cost = sum(r.image_products or 0.0 for r in records) / max(1, sum(r.n for r in records))
    return (
        f"products by {ways}, {cost:.1f} passes over the images; λmin and λmax from a float64 pass "
        f"in {proven} of {len(records)}, Lanczos on active images in {active}, λmin bounded from "
        f"below (95 %) in {bounded}; --certificates says it class by class"
    )


def print_paths(paths: Sequence[Path]) -> None:
    """Print where files were written."""
    for path in paths:
        click.echo(f"  {path}")


def number(value: float | None) -> str:
    """Return three significant digits, or a dash."""
    return "-" if value is None else f"{value:.3g}"


def with_residual(value: float, residual: float | None) -> str:
    """Return ``value ± residual``, or the value alone."""
    if residual is None:
        return number(value)
    return f"{value:.3g} ± {residual:.1g}"


def counted(count: int, noun: str) -> str:
    """Return ``1 probe``, ``2 probes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def plain_text(value: Any) -> str:
    """Return nested plain values as text; what is empty is left out."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key} ({plain_text(inner)})"
            if isinstance(inner, Mapping)
            else f"{key} {plain_text(inner)}"
            for key, inner in value.items()
            if inner not in (None, {}, [], ())
        )
    if isinstance(value, list | tuple):
        return " ".join(map(plain_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def unsettled(record: LossAnalysis) -> bool:
    """Say whether an end of the spectrum has not converged; fresh draws have no matrix."""
    return not record.converged and record.noise is None


def _marks(record: LossAnalysis, settings: SolverSettings) -> tuple[str, str]:
    """Return ≤ for a λmin, ≥ for a λmax beyond which an eigenvalue may have been missed."""
    if not unsettled(record):
        return "", ""
    ends = [record.lambda_min, record.lambda_max]
    allowed = allowed_residuals(ends, tol=settings.tolerance, floor=settings.floor)
    residuals = (record.residual_min, record.residual_max)
    wide = [r is None or r > most for r, most in zip(residuals, allowed, strict=True)]
    low, high = wide if any(wide) else (True, True)
    return "≤" * low, "≥" * high


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("-", "−", "≤", "≥", "")
